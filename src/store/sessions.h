/* The uploads of one process that go on, by their starts (backend.h: sessions). Its owner's lock guards it. */
#ifndef FF_STORE_SESSIONS_H
#define FF_STORE_SESSIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSIONS_MAX 1024

struct sessions {
    int64_t starts[SESSIONS_MAX];
    size_t len;
};

/* A session from now on, or one that keeps all that is there. *ret_start_ns names it for its end. -ERR_BUSY: too many. */
int sessions_begin(struct sessions *t, bool all, int64_t *ret_start_ns, struct err *err);
/* One of those with that start; none is fine. Returns whether there was one. */
bool sessions_end(struct sessions *t, int64_t start_ns);
/* The oldest start, INT64_MAX if there is none; all: of those alone that keep all. */
int64_t sessions_oldest(const struct sessions *t, bool all);

#endif
