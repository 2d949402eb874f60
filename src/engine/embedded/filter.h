/* The filter language of lists, a subset of Temporal's: comparisons of fields with AND, OR, NOT and parentheses.
 *
 *   filter  := [ or ] [ GROUP BY ExecutionStatus | ORDER BY StartTime DESC ]
 *   or      := and { OR and }
 *   and     := not { AND not }
 *   not     := [ NOT ] ( '(' or ')' | compare )
 *   compare := FIELD ( = | != | <> | < | <= | > | >= ) VALUE
 *            | FIELD [ NOT ] IN '(' VALUE { ',' VALUE } ')'
 *            | FIELD [ NOT ] BETWEEN VALUE AND VALUE
 *            | FIELD [ NOT ] STARTS_WITH VALUE
 *            | FIELD IS [ NOT ] NULL
 * FIELD is WorkflowId, WorkflowType, RunId, ExecutionStatus, StartTime, CloseTime, or a search attribute that a run has or had;
 * VALUE a quoted string, a number, true or false. A time is '2026-11-23T12:47:32.123Z' (or with an offset) or nanoseconds since
 * 1970; a status is its name or number. */
#ifndef FF_ENGINE_FILTER_H
#define FF_ENGINE_FILTER_H

#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_TEXT_MAX 8192
#define FILTER_VALUES_MAX 500
#define FILTER_DEPTH_MAX 32

struct filter_value {
    char *text; /* NULL: it is a number */
    int64_t number;
    double real;
    bool is_real;
};

/* An SQL condition over the columns of `execution`, with ?NNN from first_parameter on for the
 * values. */
struct filter {
    struct strbuf sql; /* empty: everything */
    VEC(struct filter_value) values;
    int first_parameter;
    bool group_by_status; /* counts are wanted for each status */
};

/* Is there a search attribute of that name? */
typedef bool filter_known(void *arg, const char *name);
/* -ERR_INVALID with what is wrong and where. Release also after a failure. known may be NULL: none is. */
int filter_parse(const char *text, int first_parameter, filter_known *known, void *arg, struct filter *ret,
                 struct err *err);
/* A string that is a time, in the one form in which search attributes keep times and are compared with them:
 * "2026-11-23T12:47:32.000000000Z". false: it is none. */
#define FILTER_TIME_SIZE 40
bool filter_normal_time(const char *text, char buf[FILTER_TIME_SIZE]);
void filter_release(struct filter *f);

#endif
