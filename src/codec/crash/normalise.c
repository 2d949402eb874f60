/* The last words on a report: cycles of a stack overflow, numbers that differ from run to run, what stands for a state that
 * is empty. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

#define STATE_LINE_MAX 80 /* characters of a line of the state */
#define CYCLE_MAX 10
#define CYCLE_TIMES 3
#define ACCESS_SIZE_MAX 16 /* larger accesses are all alike: of a memcpy */

/* n frames from a on are the same as the n from b on. */
static bool same_frames(const struct scan *s, size_t a, size_t b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(s->names.v[a + i], s->names.v[b + i]) != 0)
            return false;
    return true;
}

/* An endless recursion overflows the stack wherever it is then: its state is the first of what repeats. */
static void find_cycle(struct scan *s)
{
    for (size_t at = 0; at < s->names.len; at++)
        for (size_t n = 1; n <= CYCLE_MAX; n++) {
            if (at + CYCLE_TIMES * n >= s->names.len)
                break;
            if (!same_frames(s, at, at + n, n) || !same_frames(s, at, at + 2 * n, n))
                continue;
            scan_empty(s, &s->state);
            for (size_t i = 0; i < n && i < CRASH_STATE_FRAMES; i++) {
                strbuf_puts(&s->state, s->names.v[at + i]);
                strbuf_putc(&s->state, '\n');
            }
            return;
        }
}

static bool is_printable(char c)
{
    return is_blank(c) || (c > ' ' && c <= '~');
}

static bool is_number_char(char c)
{
    return is_digit(c) || c == '.';
}

/* A run of digits and dots, n of them at p, stands for something that changes: not a line ("x.cc:12"), not a part of a
 * name ("x1.so"), not a small literal of a condition ("x >= 1"). */
static bool is_volatile_number(const char *p, size_t n, char before, char after)
{
    if (before == ':' || is_alpha(after) || is_number_char(after))
        return false;
    if (n >= 4)
        return true;
    bool digits = true;
    for (size_t i = 0; i < n; i++)
        digits = digits && is_digit(p[i]);
    return digits && (before == '@' || before == '#' || (before == ' ' && n >= 2));
}

static void append_without_numbers(struct strbuf *out, const char *p)
{
    for (char before = 0; *p;) {
        size_t hex = 0, run = 0;
        if (p[0] == '+' && p[1] == '0' && p[2] == 'x') { /* an offset, at the end of a line */
            for (hex = 3; is_hex(p[hex]) && p[hex] != 'x' && p[hex] != 'X';)
                hex++;
            if (hex > 3 && p[hex] == '\n') {
                p += hex;
                continue;
            }
        }
        if (p[0] == '0' && p[1] == 'x') {
            for (hex = 2; is_hex(p[hex]) && p[hex] != 'x' && p[hex] != 'X';)
                hex++;
            if (hex >= 6) {
                p += hex;
                while (*p == 'U')
                    p++;
                strbuf_puts(out, "ADDRESS");
                before = 'S';
                continue;
            }
        }
        while (is_number_char(p[run]))
            run++;
        if (run && is_volatile_number(p, run, before, p[run])) {
            strbuf_puts(out, "NUMBER");
            before = 'R';
            p += run;
            continue;
        }
        if (!run)
            run = 1;
        strbuf_append(out, p, run);
        before = p[run - 1];
        p += run;
    }
}

static void cut_lines(struct strbuf *out, const char *p)
{
    while (*p) {
        size_t n = strcspn(p, "\n\r\v\f"), max = strncmp(p, "Bad-cast", 8) == 0 ? SIZE_MAX : STATE_LINE_MAX;
        strbuf_append(out, p, n < max ? n : max);
        strbuf_putc(out, '\n');
        p += n;
        if (p[0] == '\r' && p[1] == '\n')
            p++;
        p += *p != 0;
    }
}

static void clean_state(struct scan *s)
{
    static const char jni[] = "JNI DETECTED ERROR IN APPLICATION:";
    struct strbuf a = STRBUF_INIT_MAX(SCAN_STATE_MAX * 4), b = STRBUF_INIT_MAX(SCAN_STATE_MAX * 4);
    const char *p = strbuf_str(&s->state);
    for (size_t i = 0; i < s->state.len; i++) {
        if (strncmp(p + i, jni, sizeof jni - 1) == 0) {
            strbuf_puts(&a, "JNI:");
            i += sizeof jni - 2;
        } else if (is_printable(p[i])) {
            strbuf_putc(&a, p[i]);
        }
    }
    if (!s->options->unsymbolized) {
        if (!scan_is(s, "V8 correctness failure")) {
            append_without_numbers(&b, strbuf_str(&a));
            scan_empty(s, &a);
            strbuf_puts(&a, strbuf_str(&b));
            scan_empty(s, &b);
        }
        cut_lines(&b, strbuf_str(&a));
    } else {
        strbuf_puts(&b, strbuf_str(&a));
    }
    s->no_memory = s->no_memory || a.failed || b.failed;
    scan_empty(s, &s->state);
    strbuf_puts(&s->state, strbuf_str(&b));
    strbuf_release(&a);
    strbuf_release(&b);
}

static void set_state(struct scan *s, const char *text)
{
    scan_empty(s, &s->state);
    strbuf_puts(&s->state, text);
}

/* Where the stack says only when somebody looked at the clock or asked for memory. */
static bool is_of_target(const struct scan *s)
{
    return scan_is(s, "Out-of-memory") || scan_is(s, "Timeout") || scan_is(s, "Overwrites-const-input");
}

/* Go: a harness lies in package main, and so may the whole program. */
static void use_main_frames(struct scan *s)
{
    for (size_t i = 0; i < s->frames.len && s->state_frames < CRASH_STATE_FRAMES; i++) {
        const char *function = s->frames.v[i].function;
        if (!function || strncmp(function, "main.", 5) != 0 || strcmp(function, "main.main") == 0)
            continue;
        strbuf_printf(&s->state, "%.*s\n", STATE_LINE_MAX, function);
        s->state_frames++;
    }
}

static void complete_state(struct scan *s)
{
    const char *target = s->options->target;
    if (s->kind == CRASH_GO && s->state_frames == 0 && !s->state.len)
        use_main_frames(s);
    if (scan_found(s) && !view_trim(view_of(strbuf_str(&s->state))).n)
        set_state(s, s->process[0] ? s->process : target ? target : "NULL");
    if (target && is_of_target(s))
        set_state(s, target);
    const char *text = strbuf_str(&s->state);
    if (s->state.len && strcmp(text, "NULL") != 0 && text[s->state.len - 1] != '\n')
        strbuf_putc(&s->state, '\n');
}

/* "READ 32" is "READ {*}". */
static void clean_type(struct scan *s)
{
    size_t at = strcspn(s->type, "0123456789"), n = strspn(s->type + at, "0123456789");
    if (at == 0 || n == 0)
        return;
    struct view number = {s->type + at, n};
    char tail[SCAN_TYPE_MAX];
    snprintf(tail, sizeof tail, "%s", s->type + at + n);
    int value = view_int(number);
    if (value > ACCESS_SIZE_MAX)
        snprintf(s->type + at, sizeof s->type - at, "{*}%s", tail);
    else
        snprintf(s->type + at, sizeof s->type - at, "%d%s", value, tail);
}

static void clean_address(struct scan *s)
{
    static const char unknown[] = "UNKNOWN";
    if (strncmp(s->address, "0x0000", 6) == 0 && strlen(s->address) == 18)
        memmove(s->address + 2, s->address + 6, strlen(s->address + 6) + 1);
    if (!s->address[0] || !scan_type_starts(s, unknown) || view_hex(view_of(s->address)) >= NULL_PAGE)
        return;
    char rest[SCAN_TYPE_MAX];
    snprintf(rest, sizeof rest, "%s", s->type + sizeof unknown - 1);
    snprintf(s->type, sizeof s->type, "Null-dereference%.400s", rest);
}

void scan_normalise(struct scan *s)
{
    if (scan_is(s, "Stack-overflow"))
        find_cycle(s);
    clean_state(s);
    complete_state(s);
    clean_type(s);
    clean_address(s);
    s->crash->near_null = s->address[0] && view_hex(view_of(s->address)) < NULL_PAGE;
}
