#include "engine/embedded/filter.h"

#include "base/mem.h"
#include "proto/pb.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum token_type { T_END, T_WORD, T_STRING, T_NUMBER, T_OP };

struct parser {
    const char *start, *p;
    struct filter *f;
    struct err *err;
    enum token_type type;
    const char *at;    /* where the token begins */
    char *text;        /* of a word, string or operator; owned, FILTER_TEXT_MAX + 1 bytes */
    int64_t number;
    double real;
    bool is_real;
    int depth;
    filter_known *known;
    void *known_arg;
};

enum field_type { F_TEXT, F_STATUS, F_TIME, F_ATTRIBUTE };

static const struct field {
    const char *name, *column;
    enum field_type type;
} fields[] = {
    {"WorkflowId", "workflow_id", F_TEXT}, {"WorkflowType", "type", F_TEXT},
    {"RunId", "run_id", F_TEXT},           {"ExecutionStatus", "status", F_STATUS},
    {"StartTime", "start_ns", F_TIME},     {"CloseTime", "close_ns", F_TIME},
};

#define ATTRIBUTE_NAME_MAX 255

static const struct {
    const char *name;
    int number;
} statuses[] = {
#define STATUS(name, NUMBER) {name, PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_##NUMBER}
    STATUS("Running", RUNNING),       STATUS("Completed", COMPLETED),
    STATUS("Failed", FAILED),         STATUS("Canceled", CANCELED),
    STATUS("Cancelled", CANCELED),    STATUS("Terminated", TERMINATED),
    STATUS("ContinuedAsNew", CONTINUED_AS_NEW), STATUS("TimedOut", TIMED_OUT),
#undef STATUS
};

static int wrong(struct parser *s, const char *what)
{
    return err_set(s->err, ERR_INVALID, "filter: %s at character %d", what,
                   (int)(s->at - s->start) + 1);
}

static int scan_string(struct parser *s, char quote)
{
    size_t n = 0;
    for (s->p++;; s->p++) {
        if (!*s->p)
            return wrong(s, "a string that does not end");
        if (*s->p == quote && s->p[1] != quote)
            break;
        if (*s->p == quote || (*s->p == '\\' && s->p[1]))
            s->p++;
        s->text[n++] = *s->p;
    }
    s->p++;
    s->text[n] = 0;
    s->type = quote == '`' ? T_WORD : T_STRING;
    return 0;
}

static int scan_number(struct parser *s)
{
    char *end;
    errno = 0;
    s->number = strtoll(s->p, &end, 10);
    s->is_real = *end == '.' && isdigit((unsigned char)end[1]);
    if (s->is_real)
        s->real = strtod(s->p, &end);
    if (errno || end == s->p || isalnum((unsigned char)*end) || *end == '.')
        return wrong(s, "a number that is not an integer of 64 bits or a decimal fraction");
    s->p = end;
    s->type = T_NUMBER;
    return 0;
}

static int next(struct parser *s)
{
    while (isspace((unsigned char)*s->p))
        s->p++;
    s->at = s->p;
    size_t n = 0;
    if (!*s->p) {
        s->type = T_END;
        return 0;
    }
    if (*s->p == '\'' || *s->p == '"' || *s->p == '`')
        return scan_string(s, *s->p);
    if (isdigit((unsigned char)*s->p) || *s->p == '-')
        return scan_number(s);
    if (isalpha((unsigned char)*s->p) || *s->p == '_') {
        while (isalnum((unsigned char)*s->p) || *s->p == '_')
            s->text[n++] = *s->p++;
        s->text[n] = 0;
        s->type = T_WORD;
        return 0;
    }
    if (!strchr("=!<>(),", *s->p))
        return wrong(s, "an unexpected character");
    s->text[n++] = *s->p++;
    if ((s->text[0] == '!' || s->text[0] == '<' || s->text[0] == '>') && *s->p == '=')
        s->text[n++] = *s->p++;
    else if (s->text[0] == '<' && *s->p == '>')
        s->text[n++] = *s->p++;
    s->text[n] = 0;
    s->type = T_OP;
    return 0;
}

static bool is_word(const struct parser *s, const char *word)
{
    return s->type == T_WORD && strcasecmp(s->text, word) == 0;
}

static bool is_op(const struct parser *s, const char *op)
{
    return s->type == T_OP && strcmp(s->text, op) == 0;
}

static int expect_op(struct parser *s, const char *op, const char *what)
{
    return is_op(s, op) ? next(s) : wrong(s, what);
}

/* RFC 3339. */
static bool parse_time(const char *text, int64_t *ret_ns)
{
    struct tm tm = {0};
    int n = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &n) != 6 ||
        tm.tm_year < 1970 || tm.tm_year > 2200 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    const char *p = text + n;
    int64_t fraction = 0, unit = 100000000, offset = 0;
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
            fraction += (*p - '0') * unit;
    if (*p == '+' || *p == '-') {
        int h, m, k = 0;
        if (sscanf(p + 1, "%2d:%2d%n", &h, &m, &k) != 2 || k != 5)
            return false;
        offset = (*p == '-' ? -1 : 1) * (h * 3600 + m * 60);
        p += 6;
    } else if (*p == 'Z' || *p == 'z') {
        p++;
    } else {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_ns = ((int64_t)timegm(&tm) - offset) * 1000000000 + fraction;
    return *p == 0;
}

bool filter_normal_time(const char *text, char buf[FILTER_TIME_SIZE])
{
    int64_t ns;
    struct tm tm;
    if (!parse_time(text, &ns))
        return false;
    int64_t fraction = ((ns % 1000000000) + 1000000000) % 1000000000;
    time_t t = (time_t)((ns - fraction) / 1000000000);
    gmtime_r(&t, &tm);
    size_t n = strftime(buf, FILTER_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + n, FILTER_TIME_SIZE - n, ".%09dZ", (int)fraction);
    return true;
}

/* Adds a parameter; text is copied. */
static int parameter(struct parser *s, const char *text, struct filter_value v)
{
    struct filter *f = s->f;
    if (f->values.len == FILTER_VALUES_MAX)
        return wrong(s, "too many values");
    if (text && !(v.text = mem_strdup(text)))
        return err_nomem(s->err);
    if (!VEC_PUSH(&f->values, v)) {
        free(v.text);
        return err_nomem(s->err);
    }
    strbuf_printf(&f->sql, "?%d", f->first_parameter + (int)f->values.len - 1);
    return 0;
}

/* Of a search attribute: kept as text, number, or 0 and 1. */
static int attribute_value(struct parser *s)
{
    char time[FILTER_TIME_SIZE];
    struct filter_value v = {.number = s->number, .real = s->real, .is_real = s->type == T_NUMBER && s->is_real};
    const char *text = NULL;
    if (is_word(s, "true") || is_word(s, "false"))
        v.number = is_word(s, "true");
    else if (s->type == T_STRING)
        text = filter_normal_time(s->text, time) ? time : s->text;
    else if (s->type != T_NUMBER)
        return wrong(s, "a value is expected");
    int r = parameter(s, text, v);
    return r < 0 ? r : next(s);
}

/* A value of the field's type, as a parameter or, for a status, literally (so that the index of
 * open runs serves). */
static int value(struct parser *s, const struct field *field)
{
    struct filter *f = s->f;
    if (field->type == F_ATTRIBUTE)
        return attribute_value(s);
    if (s->type != T_STRING && s->type != T_NUMBER)
        return wrong(s, "a value is expected");
    if (s->type == T_NUMBER && s->is_real)
        return wrong(s, "a string or an integer is expected");
    if (field->type == F_STATUS) {
        int status = s->type == T_NUMBER && s->number > 0 && s->number < 9 ? (int)s->number : 0;
        for (size_t i = 0; s->type == T_STRING && i < sizeof statuses / sizeof *statuses; i++)
            if (strcasecmp(statuses[i].name, s->text) == 0)
                status = statuses[i].number;
        if (!status)
            return wrong(s, "an unknown status");
        strbuf_printf(&f->sql, "%d", status);
        return next(s);
    }
    struct filter_value v = {.number = s->number};
    if (field->type == F_TIME && s->type == T_STRING && !parse_time(s->text, &v.number))
        return wrong(s, "a time is not of the form 2026-11-23T12:47:32Z");
    if (field->type == F_TEXT && s->type == T_NUMBER)
        return wrong(s, "a string is expected");
    int r = parameter(s, field->type == F_TEXT ? s->text : NULL, v);
    return r < 0 ? r : next(s);
}

static int in_list(struct parser *s, const struct field *field)
{
    int r = next(s);
    if (r == 0)
        r = expect_op(s, "(", "'(' is expected after IN");
    strbuf_puts(&s->f->sql, " IN (");
    while (r == 0) {
        r = value(s, field);
        if (r < 0 || !is_op(s, ","))
            break;
        strbuf_putc(&s->f->sql, ',');
        r = next(s);
    }
    strbuf_putc(&s->f->sql, ')');
    return r < 0 ? r : expect_op(s, ")", "',' or ')' is expected");
}

static int between(struct parser *s, const struct field *field)
{
    int r = next(s);
    strbuf_puts(&s->f->sql, " BETWEEN ");
    if (r == 0)
        r = value(s, field);
    if (r == 0 && !is_word(s, "AND"))
        return wrong(s, "AND is expected");
    strbuf_puts(&s->f->sql, " AND ");
    if (r == 0)
        r = next(s);
    return r < 0 ? r : value(s, field);
}

static int starts_with(struct parser *s, const struct field *field)
{
    if (field->type != F_TEXT && field->type != F_ATTRIBUTE)
        return wrong(s, "STARTS_WITH is for strings");
    int r = next(s);
    if (r < 0)
        return r;
    /* substr(column,1,length(?n))=?n */
    int n = s->f->first_parameter + (int)s->f->values.len;
    strbuf_printf(&s->f->sql, ",1,length(?%d))=", n);
    return value(s, field);
}

static int is_null(struct parser *s)
{
    int r = next(s);
    bool not = r == 0 && is_word(s, "NOT");
    if (not)
        r = next(s);
    if (r == 0 && !is_word(s, "NULL"))
        return wrong(s, "NULL is expected");
    strbuf_puts(&s->f->sql, not? " IS NOT NULL" : " IS NULL");
    return r < 0 ? r : next(s);
}

/* What follows a field: with its column, in parentheses. */
static int comparison(struct parser *s, const struct field *field, bool not)
{
    static const char *const ops[] = {"=", "!=", "<>", "<", "<=", ">", ">="};
    bool op = false;
    if (is_word(s, "STARTS_WITH"))
        strbuf_puts(&s->f->sql, "substr(");
    strbuf_puts(&s->f->sql, field->column);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        op |= is_op(s, ops[i]);
    if (op && !not) {
        strbuf_puts(&s->f->sql, s->text);
        int r = next(s);
        return r < 0 ? r : value(s, field);
    }
    if (is_word(s, "IN"))
        return in_list(s, field);
    if (is_word(s, "BETWEEN"))
        return between(s, field);
    if (is_word(s, "STARTS_WITH"))
        return starts_with(s, field);
    if (is_word(s, "IS") && !not)
        return is_null(s);
    return wrong(s, "a comparison is expected");
}

/* A search attribute: it may have several values, or none. */
static int compare_attribute(struct parser *s, const char *name, bool not)
{
    static const struct field field = {"", "value", F_ATTRIBUTE};
    bool unequal = is_op(s, "!=") || is_op(s, "<>"), absent = false;
    int r;
    if (is_word(s, "IS") && !not) {
        if ((r = next(s)) < 0)
            return r;
        absent = !is_word(s, "NOT");
        if (!absent && (r = next(s)) < 0)
            return r;
        if (!is_word(s, "NULL"))
            return wrong(s, "NULL is expected");
    }
    bool null = is_word(s, "NULL");
    strbuf_puts(&s->f->sql, not || unequal || absent ? "run_key NOT IN" : "run_key IN");
    strbuf_puts(&s->f->sql, "(SELECT run_key FROM attribute WHERE name=");
    r = parameter(s, name, (struct filter_value){0});
    if (r == 0 && null) {
        r = next(s);
    } else if (r == 0) {
        strbuf_puts(&s->f->sql, " AND (");
        if (unequal) { /* those that have it are taken away */
            strbuf_puts(&s->f->sql, "value=");
            r = next(s);
            r = r < 0 ? r : value(s, &field);
        } else {
            r = comparison(s, &field, false);
        }
        strbuf_putc(&s->f->sql, ')');
    }
    strbuf_putc(&s->f->sql, ')');
    return r;
}

static int compare(struct parser *s)
{
    const struct field *field = NULL;
    char name[ATTRIBUTE_NAME_MAX + 1];
    if (s->type != T_WORD)
        return wrong(s, "a field name is expected");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, s->text) == 0)
            field = &fields[i];
    if (!field && (!s->known || strlen(s->text) > ATTRIBUTE_NAME_MAX || !s->known(s->known_arg, s->text)))
        return wrong(s, "an unknown field");
    snprintf(name, sizeof name, "%.*s", ATTRIBUTE_NAME_MAX, s->text);
    int r = next(s);
    if (r < 0)
        return r;
    bool not = is_word(s, "NOT");
    if (not && (r = next(s)) < 0)
        return r;
    if (!field)
        return compare_attribute(s, name, not);
    if (not)
        strbuf_puts(&s->f->sql, "NOT ");
    strbuf_putc(&s->f->sql, '(');
    r = comparison(s, field, not);
    strbuf_putc(&s->f->sql, ')');
    return r;
}

static int parse_or(struct parser *s);

static int parse_not(struct parser *s)
{
    int r = 0;
    if (++s->depth > FILTER_DEPTH_MAX)
        return wrong(s, "too many nested parentheses");
    if (is_word(s, "NOT")) {
        strbuf_puts(&s->f->sql, "NOT ");
        r = next(s);
    }
    if (r == 0 && is_op(s, "(")) {
        strbuf_putc(&s->f->sql, '(');
        r = next(s);
        if (r == 0)
            r = parse_or(s);
        strbuf_putc(&s->f->sql, ')');
        if (r == 0)
            r = expect_op(s, ")", "')' is expected");
    } else if (r == 0) {
        r = compare(s);
    }
    s->depth--;
    return r;
}

static int parse_and(struct parser *s)
{
    int r = parse_not(s);
    while (r == 0 && is_word(s, "AND")) {
        strbuf_puts(&s->f->sql, " AND ");
        r = next(s);
        if (r == 0)
            r = parse_not(s);
    }
    return r;
}

static int parse_or(struct parser *s)
{
    int r = parse_and(s);
    while (r == 0 && is_word(s, "OR")) {
        strbuf_puts(&s->f->sql, " OR ");
        r = next(s);
        if (r == 0)
            r = parse_and(s);
    }
    return r;
}

/* GROUP BY ExecutionStatus, or the order that lists have anyway. */
static int clause(struct parser *s)
{
    bool group = is_word(s, "GROUP");
    if (!group && !is_word(s, "ORDER"))
        return 0;
    int r = next(s);
    if (r == 0 && !is_word(s, "BY"))
        return wrong(s, "BY is expected");
    if (r == 0)
        r = next(s);
    if (r == 0 && !is_word(s, group ? "ExecutionStatus" : "StartTime"))
        return wrong(s, group ? "groups are by ExecutionStatus only" : "the order is by StartTime only");
    if (r == 0)
        r = next(s);
    if (r == 0 && !group && !is_word(s, "DESC"))
        return wrong(s, "DESC is expected");
    s->f->group_by_status = group;
    return r < 0 || group ? r : next(s);
}

int filter_parse(const char *text, int first_parameter, filter_known *known, void *arg, struct filter *ret,
                 struct err *err)
{
    *ret = (struct filter){.sql = STRBUF_INIT_MAX(16 * FILTER_TEXT_MAX),
                           .first_parameter = first_parameter};
    size_t n = strlen(text);
    if (n > FILTER_TEXT_MAX)
        return err_set(err, ERR_INVALID, "filter: longer than %d bytes", FILTER_TEXT_MAX);
    struct parser s = {.start = text, .p = text, .f = ret, .err = err, .text = mem_alloc(n + 1),
                       .known = known, .known_arg = arg};
    if (!s.text)
        return err_nomem(err);
    int r = next(&s);
    if (r == 0 && s.type != T_END && !is_word(&s, "GROUP") && !is_word(&s, "ORDER"))
        r = parse_or(&s);
    if (r == 0)
        r = clause(&s);
    if (r == 0 && s.type != T_END)
        r = wrong(&s, "AND, OR or the end is expected");
    if (r == 0)
        r = strbuf_check(&ret->sql, err);
    free(s.text);
    return r;
}

void filter_release(struct filter *f)
{
    strbuf_release(&f->sql);
    VEC_EACH(&f->values, v)
        free(v->text);
    VEC_RELEASE(&f->values);
}
