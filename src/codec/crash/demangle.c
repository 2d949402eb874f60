/* The qualified name in a mangled one of the Itanium C++ ABI ("_ZN2ui5Curve5resetEi" is "ui::Curve::reset"): without the
 * types of parameters, which a state leaves out anyway, and with template arguments as "<>". What goes beyond names is left
 * mangled. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#define PARTS_MAX 32 /* of a name */
#define DEPTH_MAX 16 /* of template arguments in each other */

struct demangler {
    struct view rest;
    char *out;
    size_t len, size;
    struct view parts[PARTS_MAX]; /* of out: what a substitution can refer to, from its beginning */
    int parts_len;
    struct view last; /* the class that a constructor is named after */
    bool failed;
};

static void put(struct demangler *d, const char *s, size_t n)
{
    if (d->len + n >= d->size) {
        d->failed = true;
        return;
    }
    memcpy(d->out + d->len, s, n);
    d->len += n;
}

static void put_text(struct demangler *d, const char *s)
{
    put(d, s, strlen(s));
}

/* What is in out so far can be referred to. */
static void remember(struct demangler *d)
{
    if (d->parts_len < PARTS_MAX)
        d->parts[d->parts_len++] = (struct view){d->out, d->len};
}

/* "5Curve" */
static struct view take_source_name(struct demangler *d)
{
    int n = view_int(d->rest);
    view_take(&d->rest, is_digit);
    if (n <= 0 || (size_t)n > d->rest.n) {
        d->failed = true;
        return (struct view){"", 0};
    }
    struct view name = view_first(d->rest, (size_t)n);
    d->rest = view_from(d->rest, (size_t)n);
    return name;
}

/* Arguments nest as I ... E, names as N ... E, expressions as X ... E, literals as L ... E: enough to find their end. */
static void skip_arguments(struct demangler *d)
{
    int depth = 1;
    while (depth > 0 && d->rest.n && !d->failed) {
        char c = d->rest.s[0];
        if (is_digit(c)) {
            take_source_name(d);
            continue;
        }
        d->rest = view_from(d->rest, 1);
        if (c == 'S') { /* a substitution has letters of its own */
            if (d->rest.n && d->rest.s[0] >= 'a' && d->rest.s[0] <= 'z') {
                d->rest = view_from(d->rest, 1);
                continue;
            }
            while (d->rest.n && d->rest.s[0] != '_' && is_word(d->rest.s[0]))
                d->rest = view_from(d->rest, 1);
            view_skip(&d->rest, "_");
        } else if (c == 'I' || c == 'N' || c == 'X' || c == 'F' || c == 'J') {
            depth++;
        } else if (c == 'L') {
            /* L_Z name E, Li5E: the number is no length */
            depth++;
            if (d->rest.n && is_alpha(d->rest.s[0]) && d->rest.s[0] != 'N') {
                d->rest = view_from(d->rest, 1);
                view_take(&d->rest, is_digit);
            }
        } else if (c == 'E') {
            depth--;
        }
        if (depth > DEPTH_MAX)
            d->failed = true;
    }
    d->failed = d->failed || depth > 0;
}

static void put_substitution(struct demangler *d)
{
    static const struct {
        char letter;
        const char *name;
    } known[] = {{'t', "std"}, {'a', "std::allocator"}, {'b', "std::basic_string"}, {'s', "std::string"}, {'i', "std::istream"},
                 {'o', "std::ostream"}, {'d', "std::iostream"}};
    for (size_t i = 0; d->rest.n && i < ARRAY_LEN(known); i++)
        if (d->rest.s[0] == known[i].letter) {
            d->rest = view_from(d->rest, 1);
            put_text(d, known[i].name);
            return;
        }
    int index = 0; /* S_ is the first, S0_ the second */
    if (!view_starts(d->rest, "_")) {
        index = view_int(d->rest) + 1;
        if (view_take(&d->rest, is_digit).n != 1)
            d->failed = true;
    }
    if (!view_skip(&d->rest, "_") || index >= d->parts_len || d->failed) {
        d->failed = true;
        return;
    }
    put(d, d->parts[index].s, d->parts[index].n);
}

/* One part of a nested name. */
static void put_part(struct demangler *d)
{
    char c = d->rest.s[0];
    if (c == 'I') {
        d->rest = view_from(d->rest, 1);
        skip_arguments(d);
        put_text(d, "<>");
        remember(d);
        return;
    }
    if (d->len)
        put_text(d, "::");
    view_skip(&d->rest, "L"); /* of one file */
    c = d->rest.n ? d->rest.s[0] : 0;
    if (is_digit(c)) {
        struct view name = take_source_name(d);
        d->last = name;
        if (view_starts(name, "_GLOBAL__N"))
            put_text(d, "(anonymous namespace)");
        else
            put(d, name.s, name.n);
        remember(d);
    } else if ((c == 'C' || c == 'D') && d->rest.n > 1 && is_digit(d->rest.s[1]) && d->last.n) {
        d->rest = view_from(d->rest, 2);
        put_text(d, c == 'D' ? "~" : "");
        put(d, d->last.s, d->last.n);
    } else if (c >= 'a' && c <= 'z' && d->rest.n > 1) { /* which operator does not matter: its frame is left out */
        d->rest = view_from(d->rest, 2);
        put_text(d, "operator");
    } else {
        d->failed = true;
    }
}

struct view demangle(struct view name, char *buf, size_t size)
{
    struct demangler d = {.rest = name, .out = buf, .size = size};
    view_skip(&d.rest, "_"); /* macOS has one more */
    if (!view_skip(&d.rest, "_Z") && !view_skip(&d.rest, "Z"))
        return name;
    if (view_skip(&d.rest, "N")) {
        while (view_skip(&d.rest, "K") || view_skip(&d.rest, "V") || view_skip(&d.rest, "R") || view_skip(&d.rest, "O"))
            ;
        if (view_skip(&d.rest, "S"))
            put_substitution(&d);
        while (d.rest.n && d.rest.s[0] != 'E' && !d.failed)
            put_part(&d);
        d.failed = d.failed || !d.rest.n;
    } else {
        if (view_skip(&d.rest, "St"))
            put_text(&d, "std");
        if (d.rest.n)
            put_part(&d);
    }
    return d.failed || !d.len ? name : (struct view){buf, d.len};
}
