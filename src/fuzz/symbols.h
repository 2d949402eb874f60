/* Names and lines for a report that has only modules and offsets, by libdw: so that a target which has crashed once, without
 * a symbolizer, is not run again for its names. */
#ifndef FF_FUZZ_SYMBOLS_H
#define FF_FUZZ_SYMBOLS_H

#include "base/err.h"
#include "fuzz/child.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "    #1 0x55ec83baaa04  (/scratch/b/leak+0x119a04) (BuildId: f5d6)" */
struct symbols_frame {
    uint64_t offset;
    const char *address, *module; /* in the line */
    size_t address_len, module_len;
};
/* false: the line is no such frame. */
bool symbols_read_frame(const char *line, size_t len, struct symbols_frame *ret);
/* Has it frames without names? */
bool symbols_wanted(const char *report, size_t len);

/* Starts a process that writes the report, with names, to its output, and ends with 0; 1: it has found none. It reads the
 * target's debug information, which is hostile: it is confined, and bounded in time and memory. The report is not looked at
 * after the call. */
int symbols_start(struct fuzz_child *child, const char *report, size_t len, struct err *err);

#endif
