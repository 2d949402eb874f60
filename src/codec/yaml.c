/* YAML to JSON over libyaml's events, with a stack of our own: no recursion, whatever the file
 * holds. */
#include "codec/yaml.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/json.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define BYTES_DEFAULT ((size_t)1 << 20)
#define NODES_DEFAULT ((size_t)100000)
#define DEPTH_DEFAULT 64
/* A longer pointer is not kept: its parent's line stands in. Else a long key above many nodes costs
 * bytes x nodes. */
#define POINTER_MAX 512

struct yaml_marks {
    struct map lines; /* JSON pointer -> line */
};

/* What an anchor names. */
struct anchor {
    json_t *value; /* owned */
    size_t nodes;
    int height;
    bool open; /* its collection has not ended: an alias to it would be a cycle */
};

/* One collection that is being read. */
struct frame {
    json_t *value; /* owned while open */
    char *key;     /* the member that comes next, of a mapping; NULL: a key comes next */
    size_t key_len;
    struct anchor *anchor;
    size_t nodes_before;
    size_t path_len;   /* of the pointer to this collection */
    bool path_ok;      /* the pointer is not cut */
    int height;        /* of the highest child so far */
};

struct reader {
    yaml_parser_t parser;
    struct yaml_limits limits;
    struct frame stack[JSON_DEPTH_MAX];
    int depth;
    size_t nodes;
    struct map anchors; /* name -> struct anchor */
    json_t *root;
    struct yaml_marks *marks;
    struct strbuf path;
    struct err *err;
};

void yaml_marks_free(struct yaml_marks *m)
{
    if (m) {
        map_release(&m->lines);
        free(m);
    }
}

int yaml_marks_line(const struct yaml_marks *m, const char *pointer)
{
    for (size_t n = strlen(pointer);; n--) {
        void *v = map_getn(&m->lines, pointer, n);
        if (v)
            return (int)(intptr_t)v;
        while (n > 0 && pointer[n - 1] != '/')
            n--;
        if (n == 0)
            return 1;
    }
}

static int fail(struct reader *y, size_t line, const char *what)
{
    return err_set(y->err, ERR_INVALID, "line %zu: %s", line + 1, what);
}

/* Core schema: [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ */
static bool is_int(const char *s, size_t n, int *base, size_t *digits)
{
    size_t i = 0;
    *base = 10;
    if (n > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'o')) {
        *base = s[1] == 'x' ? 16 : 8;
        i = 2;
    } else if (n && (s[0] == '-' || s[0] == '+')) {
        i = 1;
    }
    *digits = i;
    if (i == n)
        return false;
    for (; i < n; i++)
        if (*base == 16 ? !isxdigit((unsigned char)s[i])
                        : !isdigit((unsigned char)s[i]) || s[i] - '0' >= *base)
            return false;
    return true;
}

/* Core schema: [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *s, size_t n)
{
    size_t i = n && (s[0] == '-' || s[0] == '+'), before = 0, after = 0, exponent = 0;
    for (; i < n && isdigit((unsigned char)s[i]); i++)
        before++;
    if (i < n && s[i] == '.')
        for (i++; i < n && isdigit((unsigned char)s[i]); i++)
            after++;
    if (before + after == 0)
        return false;
    if (i == n)
        return true;
    if (s[i] != 'e' && s[i] != 'E')
        return false;
    i++;
    if (i < n && (s[i] == '-' || s[i] == '+'))
        i++;
    for (; i < n && isdigit((unsigned char)s[i]); i++)
        exponent++;
    return exponent > 0 && i == n;
}

static bool one_of(const char *s, size_t n, const char *a, const char *b, const char *c)
{
    return (strlen(a) == n && memcmp(a, s, n) == 0) || (strlen(b) == n && memcmp(b, s, n) == 0) ||
           (strlen(c) == n && memcmp(c, s, n) == 0);
}

json_t *yaml_scalar(const char *text, size_t len)
{
    if (len == 0 || (len == 1 && *text == '~') || one_of(text, len, "null", "Null", "NULL"))
        return json_null();
    if (one_of(text, len, "true", "True", "TRUE"))
        return json_true();
    if (one_of(text, len, "false", "False", "FALSE"))
        return json_false();
    int base;
    size_t at;
    if (len < 400 && (is_int(text, len, &base, &at) || is_float(text, len))) {
        char buf[400];
        memcpy(buf, text, len);
        buf[len] = 0;
        if (is_int(text, len, &base, &at)) {
            errno = 0;
            long long v = strtoll(base == 10 ? buf : buf + at, NULL, base);
            if (errno == 0)
                return json_integer(v);
            if (base != 10)
                return json_stringn(text, len);
        }
        double d = strtod(buf, NULL);
        if (isfinite(d))
            return json_real(d);
    }
    return json_stringn(text, len);
}

/* The value of a scalar event, with its tag. */
static int scalar_value(struct reader *y, const yaml_event_t *e, json_t **ret)
{
    const char *s = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length;
    const char *tag = (const char *)e->data.scalar.tag;
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    json_t *v;
    if (!tag ? !plain : strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0)
        v = json_stringn(s, n);
    else
        v = yaml_scalar(s, n);
    if (!v)
        return err_nomem(y->err);
    bool fits = !tag || strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0 ||
                (strcmp(tag, YAML_INT_TAG) == 0 && json_is_integer(v)) ||
                (strcmp(tag, YAML_FLOAT_TAG) == 0 && json_is_number(v)) ||
                (strcmp(tag, YAML_BOOL_TAG) == 0 && json_is_boolean(v)) ||
                (strcmp(tag, YAML_NULL_TAG) == 0 && json_is_null(v));
    if (!fits) {
        json_decref(v);
        return err_set(y->err, ERR_INVALID, "line %zu: '%.60s' does not fit its tag '%.60s'",
                       e->start_mark.line + 1, s, tag);
    }
    if (plain && !tag && n >= 4 && n <= 5 && json_is_string(v)) {
        const char *t = s + (*s == '-' || *s == '+');
        size_t m = n - (size_t)(t - s);
        if (one_of(t, m, ".inf", ".Inf", ".INF") || one_of(t, m, ".nan", ".NaN", ".NAN")) {
            json_decref(v);
            return fail(y, e->start_mark.line, "infinity and NaN have no place in JSON");
        }
    }
    *ret = v;
    return 0;
}

/* Appends "/key" (escaped as RFC 6901 has it) to the pointer of the open collection. */
static bool path_push(struct reader *y, const struct frame *f, const char *key, size_t n)
{
    y->path.len = f->path_len;
    if (!f->path_ok || f->path_len + n + 2 > POINTER_MAX)
        return false;
    strbuf_putc(&y->path, '/');
    for (size_t i = 0; i < n; i++) {
        if (key[i] == '~')
            strbuf_puts(&y->path, "~0");
        else if (key[i] == '/')
            strbuf_puts(&y->path, "~1");
        else
            strbuf_putc(&y->path, key[i]);
    }
    return true; /* out of memory is seen by mark() */
}

static int mark(struct reader *y, size_t line)
{
    if (y->path.failed)
        return err_nomem(y->err);
    if (!map_setn(&y->marks->lines, strbuf_str(&y->path), y->path.len, (void *)(intptr_t)(line + 1),
                  NULL))
        return err_nomem(y->err);
    return 0;
}

/* Notes where the value that comes next stands; *ret_ok tells whether its pointer is whole. */
static int mark_next(struct reader *y, size_t line, bool *ret_ok)
{
    *ret_ok = true;
    if (!y->marks)
        return 0;
    if (y->depth == 0)
        return mark(y, line);
    struct frame *f = &y->stack[y->depth - 1];
    if (json_is_array(f->value)) {
        char index[24];
        int n = snprintf(index, sizeof index, "%zu", json_array_size(f->value));
        *ret_ok = path_push(y, f, index, (size_t)n);
        return *ret_ok ? mark(y, line) : 0;
    }
    *ret_ok = path_push(y, f, f->key, f->key_len); /* marked when the key was read */
    return y->path.failed ? err_nomem(y->err) : 0;
}

static int count(struct reader *y, size_t nodes)
{
    if (nodes > y->limits.nodes - y->nodes)
        return err_set(y->err, ERR_LIMIT, "YAML of more than %zu nodes", y->limits.nodes);
    y->nodes += nodes;
    return 0;
}

/* Puts a finished value where it belongs. Takes the reference. */
static int place(struct reader *y, json_t *v, int height)
{
    if (y->depth == 0) {
        y->root = v;
        return 0;
    }
    struct frame *f = &y->stack[y->depth - 1];
    if (height + 1 > f->height)
        f->height = height + 1;
    if (json_is_array(f->value))
        return json_array_append_new(f->value, v) < 0 ? err_nomem(y->err) : 0;
    int r = json_object_setn_new_nocheck(f->value, f->key, f->key_len, v);
    free(f->key);
    f->key = NULL;
    return r < 0 ? err_nomem(y->err) : 0;
}

static int set_anchor(struct reader *y, const yaml_char_t *name, struct anchor **ret)
{
    *ret = NULL;
    if (!name)
        return 0;
    struct anchor *a = mem_zalloc(sizeof *a);
    void *old = NULL;
    if (!a || !map_setn(&y->anchors, name, strlen((const char *)name), a, &old)) {
        free(a);
        return err_nomem(y->err);
    }
    if (old) { /* a name may be given anew; an open collection may still point to the old one */
        for (int i = 0; i < y->depth; i++)
            if (y->stack[i].anchor == old)
                y->stack[i].anchor = NULL;
        json_decref(((struct anchor *)old)->value);
        free(old);
    }
    *ret = a;
    return 0;
}

/* Is a key of a mapping wanted next? */
static bool wants_key(const struct reader *y)
{
    return y->depth > 0 && json_is_object(y->stack[y->depth - 1].value) &&
           !y->stack[y->depth - 1].key;
}

static int on_key(struct reader *y, const yaml_event_t *e)
{
    struct frame *f = &y->stack[y->depth - 1];
    const char *s = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length, line = e->start_mark.line;
    if (memchr(s, 0, n))
        return fail(y, line, "a key with a zero byte");
    if (n == 2 && memcmp(s, "<<", 2) == 0 && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return fail(y, line, "merge keys ('<<') are not supported");
    if (json_object_getn(f->value, s, n))
        return err_set(y->err, ERR_INVALID, "line %zu: key '%.80s' is there twice", line + 1, s);
    f->key = mem_strndup(s, n);
    f->key_len = n;
    if (!f->key)
        return err_nomem(y->err);
    if (y->marks && path_push(y, f, s, n))
        return mark(y, line);
    return 0;
}

static int on_scalar(struct reader *y, const yaml_event_t *e)
{
    int r = count(y, 1);
    if (r < 0)
        return r;
    bool ok;
    struct anchor *a;
    if ((r = set_anchor(y, e->data.scalar.anchor, &a)) < 0)
        return r;
    if (wants_key(y)) {
        if (a && !(a->value = json_stringn((const char *)e->data.scalar.value,
                                           e->data.scalar.length)))
            return err_nomem(y->err);
        if (a)
            a->nodes = 1;
        return on_key(y, e);
    }
    json_t *v = NULL;
    if ((r = mark_next(y, e->start_mark.line, &ok)) < 0 || (r = scalar_value(y, e, &v)) < 0)
        return r;
    if (a) {
        a->value = json_incref(v);
        a->nodes = 1;
    }
    return place(y, v, 0);
}

static int on_start(struct reader *y, const yaml_event_t *e, bool mapping)
{
    const yaml_char_t *name =
        mapping ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    const char *tag =
        (const char *)(mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag);
    if (tag && strcmp(tag, mapping ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        return err_set(y->err, ERR_INVALID, "line %zu: unknown tag '%.60s'", e->start_mark.line + 1,
                       tag);
    if (wants_key(y))
        return fail(y, e->start_mark.line, "a key must be a scalar");
    if (y->depth >= y->limits.depth)
        return err_set(y->err, ERR_LIMIT, "line %zu: YAML nested deeper than %d",
                       e->start_mark.line + 1, y->limits.depth);
    struct frame f = {.nodes_before = y->nodes};
    int r = count(y, 1);
    if (r < 0 || (r = mark_next(y, e->start_mark.line, &f.path_ok)) < 0 ||
        (r = set_anchor(y, name, &f.anchor)) < 0)
        return r;
    f.path_len = y->path.len;
    if (f.anchor)
        f.anchor->open = true;
    f.value = mapping ? json_object() : json_array();
    if (!f.value)
        return err_nomem(y->err);
    y->stack[y->depth++] = f;
    return 0;
}

static int on_end(struct reader *y)
{
    struct frame f = y->stack[--y->depth];
    if (f.anchor) {
        f.anchor->value = json_incref(f.value);
        f.anchor->nodes = y->nodes - f.nodes_before;
        f.anchor->height = f.height;
        f.anchor->open = false;
    }
    return place(y, f.value, f.height);
}

static int on_alias(struct reader *y, const yaml_event_t *e)
{
    const char *name = (const char *)e->data.alias.anchor;
    const struct anchor *a = map_get(&y->anchors, name);
    size_t line = e->start_mark.line;
    if (!a || a->open || !a->value)
        return err_set(y->err, ERR_INVALID, "line %zu: alias '*%.60s' %s", line + 1, name,
                       a ? "is inside what it names" : "names nothing");
    if (wants_key(y))
        return fail(y, line, "an alias as a key is not supported");
    if (y->depth + a->height + (json_is_object(a->value) || json_is_array(a->value)) > y->limits.depth)
        return err_set(y->err, ERR_LIMIT, "line %zu: YAML nested deeper than %d", line + 1,
                       y->limits.depth);
    bool ok;
    int r = count(y, a->nodes);
    if (r < 0 || (r = mark_next(y, line, &ok)) < 0)
        return r;
    json_t *copy = json_deep_copy(a->value); /* depth is bounded above */
    return copy ? place(y, copy, a->height) : err_nomem(y->err);
}

static int parser_error(struct reader *y)
{
    const yaml_parser_t *p = &y->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return err_nomem(y->err);
    size_t line = p->error == YAML_READER_ERROR ? p->mark.line : p->problem_mark.line;
    return err_set(y->err, ERR_INVALID, "line %zu: %s%s%s", line + 1,
                   p->problem ? p->problem : "no valid YAML", p->context ? ", " : "",
                   p->context ? p->context : "");
}

/* One event; *ret_done at the end of the stream. */
static int step(struct reader *y, bool *ret_done, int *documents)
{
    yaml_event_t e;
    if (!yaml_parser_parse(&y->parser, &e))
        return parser_error(y);
    int r = 0;
    switch (e.type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1)
            r = fail(y, e.start_mark.line, "a second document in the same file");
        break;
    case YAML_SCALAR_EVENT:
        r = on_scalar(y, &e);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        r = on_start(y, &e, e.type == YAML_MAPPING_START_EVENT);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r = on_end(y);
        break;
    case YAML_ALIAS_EVENT:
        r = on_alias(y, &e);
        break;
    case YAML_STREAM_END_EVENT:
        *ret_done = true;
        break;
    default:
        break;
    }
    yaml_event_delete(&e);
    return r;
}

static void reader_release(struct reader *y)
{
    for (int i = 0; i < y->depth; i++) {
        json_decref(y->stack[i].value);
        free(y->stack[i].key);
    }
    MAP_EACH(&y->anchors, entry) {
        json_decref(((struct anchor *)entry->value)->value);
        free(entry->value);
    }
    map_release(&y->anchors);
    strbuf_release(&y->path);
    json_decref(y->root);
    yaml_marks_free(y->marks);
    yaml_parser_delete(&y->parser);
}

int yaml_parse(const char *text, size_t len, const struct yaml_limits *limits, json_t **ret,
               struct yaml_marks **ret_marks, struct err *err)
{
    struct reader y = {.limits = limits ? *limits : (struct yaml_limits){0}, .err = err};
    if (!y.limits.bytes)
        y.limits.bytes = BYTES_DEFAULT;
    if (!y.limits.nodes)
        y.limits.nodes = NODES_DEFAULT;
    if (y.limits.depth <= 0)
        y.limits.depth = DEPTH_DEFAULT;
    if (y.limits.depth > JSON_DEPTH_MAX)
        y.limits.depth = JSON_DEPTH_MAX;
    if (len > y.limits.bytes)
        return err_set(err, ERR_LIMIT, "YAML of %zu bytes is over %zu", len, y.limits.bytes);
    strbuf_init(&y.path, 4 * POINTER_MAX);
    if (ret_marks && !(y.marks = mem_zalloc(sizeof *y.marks)))
        return err_nomem(err);
    if (!yaml_parser_initialize(&y.parser)) {
        yaml_marks_free(y.marks);
        return err_nomem(err);
    }
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
    bool done = false;
    int documents = 0, r = 0;
    while (r == 0 && !done)
        r = step(&y, &done, &documents);
    if (r == 0) {
        *ret = y.root ? TAKE_PTR(y.root) : json_null();
        if (ret_marks)
            *ret_marks = TAKE_PTR(y.marks);
    }
    reader_release(&y);
    return r;
}
