/* What the output of a crashed target says, as far as a campaign needs it: is it a crash, which one, how bad, and where. */
#ifndef FF_FUZZ_VERDICT_H
#define FF_FUZZ_VERDICT_H

#include "base/err.h"
#include "codec/finding.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct fuzz_verdict {
    char type[96];   /* "Heap-buffer-overflow WRITE 4", in ClusterFuzz's words; "": no crash */
    char state[512]; /* the first frames of the fault's own, one a line */
    char thrown[80]; /* the class of an exception that nobody caught; "": it is none */
    char file[512];  /* of the first of them, as the report has it; "": unknown */
    char title[160];
    int line, column;
    enum severity severity;
    bool security;
    char reason[256]; /* of the severity */
    json_t *frames;   /* array of {function, file, line}; NULL: none */
};

/* Always gives a verdict; one without a crash has an empty type. target: its name, which is the state of time-outs and memory
 * bounds; may be NULL. fallback: the type for a report that names no crash of
 * its own (a signal, a time-out that the engine saw); may be NULL. -ERR_NO_MEMORY alone. */
int fuzz_verdict_read(const char *report, size_t len, const char *target, const char *fallback, struct fuzz_verdict *ret,
                      struct err *err);
void fuzz_verdict_release(struct fuzz_verdict *v);
/* The same bug: same type, whatever the size of the access, same state, same exception. */
bool fuzz_verdict_same(const struct fuzz_verdict *a, const struct fuzz_verdict *b);
/* Types of crashes are the same but for the size of an access. */
bool fuzz_type_same(const char *a, const char *b);

#endif
