/* Rust's mangled names, version 0 (https://doc.rust-lang.org/rustc/symbol-mangling/v0.html), in words: as rustc-demangle writes
 * them without hashes and without the types of constants. A reader of the grammar from left to right; a back reference reads
 * an earlier part again, so that a short name may stand for a long one: output and steps have bounds. */
#include "codec/crash/crash.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 128
#define STEPS_MAX 20000
#define HEX_MAX 16 /* digits of a constant that are written in decimal */

struct rust {
    const char *s; /* behind "_R" */
    size_t n, at;
    char *out;
    size_t len, size;
    bool failed, quiet; /* quiet: read, and write nothing */
    bool left_open;     /* a path that was to stay open has arguments */
    int depth, steps;
    uint64_t lifetimes; /* that are bound where it reads */
};

static void path(struct rust *r, bool in_value, bool open);
static void type(struct rust *r);
static void constant(struct rust *r);

static void put(struct rust *r, const char *s, size_t n)
{
    if (r->quiet || r->failed)
        return;
    if (r->len + n >= r->size) {
        r->failed = true;
        return;
    }
    memcpy(r->out + r->len, s, n);
    r->len += n;
}

static void say(struct rust *r, const char *text)
{
    put(r, text, strlen(text));
}

static char peek(const struct rust *r)
{
    return r->failed || r->at >= r->n ? 0 : r->s[r->at];
}

static char next(struct rust *r)
{
    char c = peek(r);
    r->failed |= c == 0 || ++r->steps > STEPS_MAX;
    r->at += c != 0;
    return c;
}

static bool eat(struct rust *r, char c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

/* Another round of a list that E ends. */
static bool more(struct rust *r)
{
    if (eat(r, 'E'))
        return false;
    r->failed |= peek(r) == 0;
    return !r->failed;
}

static bool deeper(struct rust *r)
{
    r->failed |= ++r->depth > DEPTH_MAX || ++r->steps > STEPS_MAX;
    return !r->failed;
}

/* --- numbers and words --------------------------------------------------------------------------------------- */

/* "_" is 0, "0_" is 1. */
static uint64_t base62(struct rust *r)
{
    uint64_t v = 0;
    if (eat(r, '_'))
        return 0;
    while (!r->failed && !eat(r, '_')) {
        char c = next(r);
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10 :
                         c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A') + 36 : 62;
        if (digit == 62 || v > (UINT64_MAX - 62) / 62) {
            r->failed = true;
            return 0;
        }
        v = v * 62 + digit;
    }
    return v + 1;
}

static uint64_t marked(struct rust *r, char mark) /* 0: it is not there */
{
    return eat(r, mark) ? base62(r) + 1 : 0;
}

static uint64_t decimal(struct rust *r)
{
    uint64_t v = 0;
    char c = peek(r);
    if (c < '0' || c > '9')
        r->failed = true;
    if (eat(r, '0'))
        return 0;
    for (; (c = peek(r)) >= '0' && c <= '9' && v < r->n; r->at++)
        v = v * 10 + (uint64_t)(c - '0');
    return v;
}

struct word {
    const char *s;
    size_t n;
    bool punycode;
};

static struct word word(struct rust *r)
{
    struct word w = {.punycode = eat(r, 'u')};
    uint64_t n = decimal(r);
    eat(r, '_');
    if (r->failed || n > r->n - r->at) {
        r->failed = true;
        return (struct word){"", 0, false};
    }
    w.s = r->s + r->at;
    w.n = (size_t)n;
    r->at += w.n;
    return w;
}

static void say_word(struct rust *r, struct word w)
{
    if (w.punycode)
        say(r, "punycode{");
    put(r, w.s, w.n);
    if (w.punycode)
        say(r, "}");
}

static void say_number(struct rust *r, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    say(r, text);
}

/* 'a is the outermost of those that are bound, '_ is any. */
static void lifetime(struct rust *r, uint64_t index)
{
    char letter[2] = "_";
    say(r, "'");
    if (index > r->lifetimes)
        r->failed = true;
    else if (index && r->lifetimes - index < 26)
        letter[0] = (char)('a' + (r->lifetimes - index));
    say(r, letter);
}

/* "for<'a, 'b> ". The number of lifetimes before it. */
static uint64_t binder(struct rust *r)
{
    uint64_t before = r->lifetimes, n = marked(r, 'G');
    if (n > r->n)
        r->failed = true;
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        r->lifetimes++;
        say(r, i ? ", " : "for<");
        lifetime(r, 1);
    }
    if (n)
        say(r, "> ");
    return before;
}

/* What an earlier place has is read again. */
static void back(struct rust *r, void (*read)(struct rust *r))
{
    size_t from = r->at - 1, after;
    uint64_t to = base62(r);
    if (r->failed || to >= from) {
        r->failed = true;
        return;
    }
    after = r->at;
    r->at = (size_t)to;
    if (!r->quiet) /* it has been read once, and is well-formed */
        read(r);
    r->at = after;
}

/* --- paths ----------------------------------------------------------------------------------------------------- */

static void quiet_path(struct rust *r)
{
    bool quiet = r->quiet;
    r->quiet = true;
    marked(r, 's');
    path(r, false, false);
    r->quiet = quiet;
}

/* "a::f", "a::f::{closure#0}" */
static void nested(struct rust *r, bool in_value)
{
    char space = next(r);
    path(r, in_value, false);
    uint64_t which = marked(r, 's');
    struct word w = word(r);
    if (space >= 'A' && space <= 'Z') {
        char other[] = {space, 0};
        say(r, "::{");
        say(r, space == 'C' ? "closure" : space == 'S' ? "shim" : other);
        if (w.n)
            say(r, ":");
        say_word(r, w);
        say(r, "#");
        say_number(r, which);
        say(r, "}");
    } else if (space < 'a' || space > 'z') {
        r->failed = true;
    } else if (w.n) {
        say(r, "::");
        say_word(r, w);
    }
}

static void generic_argument(struct rust *r)
{
    if (eat(r, 'L'))
        lifetime(r, base62(r));
    else if (eat(r, 'K'))
        constant(r);
    else
        type(r);
}

static void generic(struct rust *r, bool in_value, bool open)
{
    path(r, in_value, false);
    say(r, in_value ? "::<" : "<");
    for (bool first = true; more(r); first = false) {
        say(r, first ? "" : ", ");
        generic_argument(r);
    }
    say(r, open ? "" : ">");
    r->left_open = open;
}

static void value_path(struct rust *r)
{
    path(r, true, false);
}

static void type_path(struct rust *r)
{
    path(r, false, false);
}

static void open_path(struct rust *r)
{
    path(r, false, true);
}

/* in_value: of a function, not of a type: its arguments stand behind "::". open: of what there is in < >, the last stays away. */
static void path(struct rust *r, bool in_value, bool open)
{
    char c = deeper(r) ? next(r) : 0;
    switch (c) {
    case 'C':
        marked(r, 's');
        say_word(r, word(r));
        break;
    case 'N':
        nested(r, in_value);
        break;
    case 'M':
    case 'X':
        quiet_path(r); /* where the implementation is */
        __attribute__((fallthrough));
    case 'Y':
        say(r, "<");
        type(r);
        if (c != 'M') {
            say(r, " as ");
            path(r, false, false);
        }
        say(r, ">");
        break;
    case 'I':
        generic(r, in_value, open);
        break;
    case 'B':
        back(r, open ? open_path : in_value ? value_path : type_path);
        break;
    default:
        r->failed = true;
    }
    r->depth--;
}

/* --- types ----------------------------------------------------------------------------------------------------- */

static const char *basic(char c)
{
    static const char *const names[26] = {
        ['a' - 'a'] = "i8",  ['b' - 'a'] = "bool", ['c' - 'a'] = "char", ['d' - 'a'] = "f64",  ['e' - 'a'] = "str",
        ['f' - 'a'] = "f32", ['h' - 'a'] = "u8",   ['i' - 'a'] = "isize", ['j' - 'a'] = "usize", ['l' - 'a'] = "i32",
        ['m' - 'a'] = "u32", ['n' - 'a'] = "i128", ['o' - 'a'] = "u128", ['p' - 'a'] = "_",    ['s' - 'a'] = "i16",
        ['t' - 'a'] = "u16", ['u' - 'a'] = "()",   ['v' - 'a'] = "...",  ['x' - 'a'] = "i64",  ['y' - 'a'] = "u64",
        ['z' - 'a'] = "!",
    };
    return c >= 'a' && c <= 'z' ? names[c - 'a'] : NULL;
}

static void reference(struct rust *r, bool mutable)
{
    uint64_t at = marked(r, 'L');
    say(r, "&");
    if (at > 1) {
        lifetime(r, at - 1);
        say(r, " ");
    }
    say(r, mutable ? "mut " : "");
    type(r);
}

static void tuple(struct rust *r)
{
    int count = 0;
    say(r, "(");
    while (more(r)) {
        say(r, count++ ? ", " : "");
        type(r);
    }
    say(r, count == 1 ? ",)" : ")");
}

/* "unsafe extern "C" fn(u8) -> u8" */
static void function(struct rust *r)
{
    uint64_t before = binder(r);
    if (eat(r, 'U'))
        say(r, "unsafe ");
    if (eat(r, 'K')) {
        say(r, "extern \"");
        struct word abi = {"C", 1, false};
        if (!eat(r, 'C'))
            abi = word(r);
        for (size_t i = 0; i < abi.n; i++)
            put(r, abi.s[i] == '_' ? "-" : abi.s + i, 1);
        say(r, "\" ");
    }
    say(r, "fn(");
    for (bool first = true; more(r); first = false) {
        say(r, first ? "" : ", ");
        type(r);
    }
    say(r, ")");
    if (!eat(r, 'u')) {
        say(r, " -> ");
        type(r);
    }
    r->lifetimes = before;
}

/* "dyn A + B<C = D>" */
static void object(struct rust *r)
{
    say(r, "dyn ");
    uint64_t before = binder(r);
    for (bool first = true; more(r); first = false) {
        say(r, first ? "" : " + ");
        r->left_open = false;
        path(r, false, true);
        bool begun = r->left_open;
        while (eat(r, 'p')) {
            say(r, begun ? ", " : "<");
            begun = true;
            say_word(r, word(r));
            say(r, " = ");
            type(r);
        }
        say(r, begun ? ">" : "");
    }
    r->lifetimes = before;
    uint64_t bound = marked(r, 'L');
    if (!bound)
        r->failed = true;
    if (bound > 1) {
        say(r, " + ");
        lifetime(r, bound - 1);
    }
}

static void in_brackets(struct rust *r, bool sized)
{
    say(r, "[");
    type(r);
    if (sized) {
        say(r, "; ");
        constant(r);
    }
    say(r, "]");
}

static void type(struct rust *r)
{
    char c = deeper(r) ? peek(r) : 0;
    const char *plain = basic(c);
    if (plain || strchr("ASTRQPOFDB", c ? c : '!'))
        r->at++;
    if (plain)
        say(r, plain);
    else if (c == 'A' || c == 'S')
        in_brackets(r, c == 'A');
    else if (c == 'T')
        tuple(r);
    else if (c == 'R' || c == 'Q')
        reference(r, c == 'Q');
    else if (c == 'P' || c == 'O') {
        say(r, c == 'P' ? "*const " : "*mut ");
        type(r);
    } else if (c == 'F')
        function(r);
    else if (c == 'D')
        object(r);
    else if (c == 'B')
        back(r, type);
    else
        path(r, false, false);
    r->depth--;
}

/* --- constants --------------------------------------------------------------------------------------------------- */

/* Hexadecimal digits and "_". */
static void constant_data(struct rust *r, char of)
{
    bool negative = eat(r, 'n');
    const char *digits = r->s + r->at;
    size_t n = 0;
    uint64_t v = 0;
    for (char c; (c = next(r)) != '_' && !r->failed; n++) {
        bool letter = c >= 'a' && c <= 'f';
        r->failed |= !letter && (c < '0' || c > '9');
        v = v << 4 | (uint64_t)(letter ? c - 'a' + 10 : c - '0');
    }
    say(r, negative ? "-" : "");
    if (of == 'b') {
        say(r, v ? "true" : "false");
    } else if (of == 'c') {
        char text[24];
        snprintf(text, sizeof text, v > ' ' && v < 127 ? "'%c'" : "'\\u{%x}'", (unsigned)v);
        say(r, text);
    } else if (n <= HEX_MAX) {
        say_number(r, v);
    } else {
        say(r, "0x");
        put(r, digits, n);
    }
}

static void constant(struct rust *r)
{
    char c = deeper(r) ? next(r) : 0;
    if (c == 'p')
        say(r, "_");
    else if (c == 'B')
        back(r, constant);
    else if (c && strchr("ahsltmxynoijbc", c))
        constant_data(r, c);
    else
        r->failed = true;
    r->depth--;
}

bool crash_demangle_rust(const char *name, size_t len, char *ret, size_t size)
{
    if (size)
        ret[0] = 0;
    if (len < 4 || size < 2 || memcmp(name, "_R", 2) != 0)
        return false;
    struct rust r = {.s = name + 2, .n = len - 2, .out = ret, .size = size};
    path(&r, true, false);
    if (!r.failed && r.at < r.n && r.s[r.at] != '.') { /* the crate that asked for the instance */
        r.quiet = true;
        path(&r, false, false);
    }
    if (!r.failed && r.at < r.n && r.s[r.at] != '.') /* ".llvm.123": a compiler's own */
        r.failed = true;
    ret[r.failed ? 0 : r.len] = 0;
    return !r.failed && r.len;
}
