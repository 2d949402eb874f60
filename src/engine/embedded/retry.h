/* The arithmetic of retry policies: pure. */
#ifndef FF_ENGINE_RETRY_H
#define FF_ENGINE_RETRY_H

#include "base/err.h"
#include "proto/pb.h"

#include <stdint.h>

struct retry_input {
    const Pb__RetryPolicy *policy; /* NULL: never again */
    const Pb__Failure *failure;    /* NULL: a timeout */
    int32_t attempt;               /* that has just failed, from 1 */
    int32_t free_attempts;         /* of them, do not count against the maximum */
    int64_t now_ns, deadline_ns;   /* deadline 0: none */
};

/* PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS and how long to wait before the next attempt, or why
 * there is none. */
Pb__RetryState retry_decide(const struct retry_input *in, int64_t *ret_delay_ns);
/* Fills what a caller left out with Temporal's defaults: 1 s, factor 2, at most 100 times the
 * first. */
void retry_fill_defaults(Pb__RetryPolicy *p, Pb__Duration *initial, Pb__Duration *maximum);
/* -ERR_INVALID with what is wrong in it; NULL is fine. */
int retry_check(const Pb__RetryPolicy *p, struct err *err);

#endif
