/* The filter language of lists, a subset of Temporal's: comparisons of fields with AND, OR, NOT and parentheses.
 *
 *   filter  := '' | or
 *   or      := and { OR and }
 *   and     := not { AND not }
 *   not     := [ NOT ] ( '(' or ')' | compare )
 *   compare := FIELD ( = | != | <> | < | <= | > | >= ) VALUE
 *            | FIELD [ NOT ] IN '(' VALUE { ',' VALUE } ')'
 *            | FIELD [ NOT ] BETWEEN VALUE AND VALUE
 *            | FIELD [ NOT ] STARTS_WITH VALUE
 *            | FIELD IS [ NOT ] NULL
 * FIELD is WorkflowId, WorkflowType, RunId, ExecutionStatus, StartTime or CloseTime, VALUE a quoted string or a number. A time is
 * '2026-11-23T12:47:32.123Z' (or with an offset) or nanoseconds since 1970; a status is its name or number. */
#ifndef FF_ENGINE_FILTER_H
#define FF_ENGINE_FILTER_H

#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"

#include <stdint.h>

#define FILTER_TEXT_MAX 8192
#define FILTER_VALUES_MAX 500
#define FILTER_DEPTH_MAX 32

struct filter_value {
    char *text; /* NULL: it is a number */
    int64_t number;
};

/* An SQL condition over the columns of `execution`, with ?NNN from first_parameter on for the
 * values. */
struct filter {
    struct strbuf sql; /* empty: everything */
    VEC(struct filter_value) values;
    int first_parameter;
};

/* -ERR_INVALID with what is wrong and where. Release also after a failure. */
int filter_parse(const char *text, int first_parameter, struct filter *ret, struct err *err);
void filter_release(struct filter *f);

#endif
