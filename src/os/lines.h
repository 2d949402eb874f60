/* Lines of somebody who may send anything, as they come. */
#ifndef FF_OS_LINES_H
#define FF_OS_LINES_H

#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>

struct os_lines {
    size_t max; /* bytes of a line */
    /* Without its newline, zero-terminated; lines of blanks alone are left out. text NULL: one of over max bytes. */
    void (*line)(void *arg, const char *text, size_t len);
    void *arg;
    const atomic_bool *stop; /* looked at between reads */
    int stop_fd;             /* readable: enough */
};

/* To the end of fd, or until it is told to stop. -ERR_NO_MEMORY, or what the system says. */
int os_read_lines(int fd, const struct os_lines *o, struct err *err);

#endif
