/* The loop over a report's lines.
 *
 * The order of the rules is their meaning: a report often has several voices (an assertion, then the signal that it ends
 * by, then the sanitizer that caught the signal), and the later one may refine, replace, or must leave alone what the
 * earlier one said. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/utf8.h"

#include <stdarg.h>
#include <stdio.h>

#define LINES_MAX ((size_t)1 << 17) /* of a Python traceback, which is read backwards */

/* --- what rules do ---------------------------------------------------------------------------------------- */

bool scan_found(const struct scan *s)
{
    return s->type[0] != 0;
}

bool scan_is(const struct scan *s, const char *type)
{
    return strcmp(s->type, type) == 0;
}

bool scan_type_starts(const struct scan *s, const char *prefix)
{
    return strncmp(s->type, prefix, strlen(prefix)) == 0;
}

/* A time-out is not overwritten by the crash of whoever was killed for it. */
static int weight(const char *type)
{
    return strcmp(type, "V8 sandbox violation") == 0 ? 2 : strcmp(type, "Timeout") == 0;
}

void scan_type(struct scan *s, enum crash_kind kind, const char *type)
{
    if (weight(type) < weight(s->type))
        return;
    snprintf(s->type, sizeof s->type, "%s", type);
    s->kind = kind;
}

void scan_typef(struct scan *s, enum crash_kind kind, const char *fmt, ...)
{
    char type[SCAN_TYPE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(type, sizeof type, fmt, ap);
    va_end(ap);
    scan_type(s, kind, type);
}

void scan_add_to_type(struct scan *s, const char *fmt, ...)
{
    size_t n = strlen(s->type);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->type + n, sizeof s->type - n, fmt, ap);
    va_end(ap);
}

void scan_address(struct scan *s, const char *prefix, struct view address)
{
    address = view_trim(address);
    snprintf(s->address, sizeof s->address, "%s%.*s", prefix, (int)(address.n < 100 ? address.n : 100), address.s);
}

void scan_empty(struct scan *s, struct strbuf *b)
{
    s->no_memory = s->no_memory || b->failed;
    strbuf_clear(b);
}

void scan_clear_state(struct scan *s)
{
    scan_empty(s, &s->state);
    s->state_frames = 0;
    VEC_CLEAR(&s->frames);
    s->last_frame = -1;
    s->stack_closed = false;
}

void scan_restart(struct scan *s)
{
    scan_clear_state(s);
    s->address[0] = 0;
}

void scan_set_state(struct scan *s, struct view line)
{
    scan_empty(s, &s->state);
    strbuf_append(&s->state, line.s, line.n < SCAN_STATE_MAX / 2 ? line.n : SCAN_STATE_MAX / 2);
    strbuf_putc(&s->state, '\n');
}

bool scan_explains_signal(const struct scan *s)
{
    static const char *const types[] = {
        "ASSERT", "CHECK failure", "DCHECK failure", "Security CHECK failure", "Security DCHECK failure", "Fatal error",
        "Unreachable code", "V8 API error", "V8 sandbox violation", "Out-of-memory", "Timeout", "Stack-overflow",
        "Command injection", "Arbitrary file open",
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (scan_is(s, types[i]))
            return true;
    return false;
}

const char *scan_copy(struct scan *s, struct view v)
{
    struct strbuf b = STRBUF_INIT_MAX(CRASH_TEXT_MAX * 4);
    utf8_append_clean(&b, v.s, utf8_cut(v.s, v.n, CRASH_TEXT_MAX));
    char *copy = arena_strndup(&s->crash->arena, strbuf_str(&b), b.len);
    if (b.failed || !copy)
        s->no_memory = true;
    strbuf_release(&b);
    return copy ? copy : "";
}

/* --- the loop --------------------------------------------------------------------------------------------- */

/* Lines that only look as if they said something of a crash. */
static bool is_noise(struct scan *s, struct view line)
{
    static const char *const noise[] = {
        "SUMMARY:",                      /* says again what was said */
        "WARNING: AddressSanitizer",     /* the program goes on */
        "failed to mprotect 0x00010000", /* of a coverage buffer */
        ":INFO:CONSOLE",                 /* what a web page logs */
        "text run at (",                 /* a dump of a render tree */
        "Please include Java exception stack in crash report",
    };
    if (s->dead || line.n > SCAN_LINE_MAX)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(noise); i++)
        if (view_has(line, noise[i]))
            return true;
    return rule_sanitizer_noise(s, line);
}

/* What a frame of a numbered stack says to rules other than those of frames: that memory ran out. Looking further
 * would cost most of the time of all reports. */
static bool is_numbered_frame(struct view line)
{
    view_skip_space(&line);
    if (!view_skip(&line, "#"))
        return false;
    return view_take(&line, is_digit).n > 0 && view_skip_space(&line) && view_starts(line, "0x");
}

static scan_rule *const rules[] = {
    rule_gnu_assert, rule_gdb, rule_msan_tsan, rule_lsan, rule_bad_cast, rule_cfi, rule_go_panic, rule_ubsan, rule_overlap,
    rule_python, rule_jazzer_js, rule_trusty, rule_segv, rule_bad_free, rule_double_free, rule_fpe, rule_san_address,
    rule_san_access, rule_android, rule_kernel, rule_kasan, rule_extra_sanitizers, rule_san_check, rule_security_check,
    rule_limits, rule_first_report, rule_fatal_error, rule_cdb_stack,
};

/* Behind these stands another stack: that of the allocation, of a thread's start. */
static bool is_other_stack(struct view line)
{
    static const char *const heads[] = {
        "allocated by thread", "previously allocated by", "located in stack of thread", "created by main thread at",
        "Uninitialized value was stored to memory at", "Direct leak of",
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (view_has(line, heads[i]))
            return true;
    return false;
}

static void read_line(struct scan *s, struct view line)
{
    if (is_noise(s, line))
        return;
    if (is_numbered_frame(line)) {
        if (rule_limits(s, line))
            return;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(rules); i++)
            if (rules[i](s, line))
                return;
    }
    if (s->state.len && is_other_stack(line)) {
        s->state_frames = CRASH_STATE_FRAMES;
        s->stack_closed = s->frames.len > 0;
        return;
    }
    if (scan_found(s))
        rule_frame(s, line);
}

/* The end of a line: whatever a terminal or a file has for it. */
static bool is_end(char c)
{
    return (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e);
}

/* Takes a line off the text. The kernel's "[   12.345678] " before it is dropped where it is one. */
static struct view next_line(struct scan *s, struct view *text)
{
    size_t i = 0;
    while (i < text->n && !is_end(text->s[i]))
        i++;
    struct view line = view_first(*text, i), rest = line;
    i += i + 1 < text->n && text->s[i] == '\r' && text->s[i + 1] == '\n';
    *text = view_from(*text, i + 1);
    if (s->lkl && view_skip(&rest, "[")) {
        view_skip_space(&rest);
        bool time = view_take(&rest, is_digit).n && view_skip(&rest, ".") && view_take(&rest, is_digit).n;
        if (time && view_skip(&rest, "]") && rest.n && is_blank(rest.s[0]))
            return view_from(rest, 1);
    }
    return line;
}

/* Centipede prefixes what the target printed; a sanitizer's "DEADLYSIGNAL" can stand at the end of a line that was being
 * written. */
static void read_lines(struct scan *s, struct view line)
{
    static const char mark[] = "Sanitizer:DEADLYSIGNAL";
    view_skip(&line, "CRASH LOG: ");
    ssize_t at = view_find(line, mark);
    if (at > 0) {
        while (at > 0 && is_alpha(line.s[at - 1]))
            at--;
        static const char *const names[] = {"Address", "Leak", "Memory", "UndefinedBehavior", "Thread"};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            ssize_t own = view_find(view_from(line, (size_t)at), names[i]);
            if (own >= 0 && view_starts(view_from(line, (size_t)(at + own) + strlen(names[i])), mark)) {
                read_line(s, view_first(line, (size_t)(at + own)));
                return;
            }
        }
    }
    read_line(s, line);
}

/* Python prints the innermost frame last, and a sanitizer's report may follow: the block from its title on is read from
 * its end. false: there is no such block. */
static bool read_traceback(struct scan *s)
{
    VEC(struct view) lines = {0};
    struct view text = s->text, title = {0};
    while (text.n && lines.len < LINES_MAX) {
        struct view line = next_line(s, &text), t = view_trim(line);
        if (!title.s) {
            if (view_is(t, "=== Uncaught Python exception: ===") || view_starts(line, "===BUG DETECTED: PySecSan:"))
                title = line;
            continue;
        }
        if (view_has(line, "=========") || view_has(line, "== ERROR: "))
            break;
        if (!VEC_PUSH(&lines, line))
            s->no_memory = true;
    }
    if (title.s) {
        read_lines(s, title);
        for (size_t i = lines.len; i > 0; i--)
            read_lines(s, lines.v[i - 1]);
    }
    VEC_RELEASE(&lines);
    return title.s;
}

/* "SCARINESS: 10 (signal)": the sanitizer saw a signal and no access of its own. */
static bool has_signal_scariness(struct view text)
{
    while (view_after(text, "SCARINESS: ", &text)) {
        struct view rest = text;
        if (view_take(&rest, is_digit).n && view_starts(rest, " (signal)"))
            return true;
    }
    return false;
}

static void look_around(struct scan *s)
{
    s->kasan = view_has(s->text, "KASAN");
    s->go = view_has(s->text, ".go:");
    s->python = view_has(s->text, ".py\", line");
    s->js = view_has(s->text, "Uncaught Exception: Jazzer.js");
    s->node = view_has(s->text, "\nNode.js v");
    s->trusty = view_has(s->text, "Trusted App crash stacktrace");
    s->lkl = view_has(s->text, "Linux Kernel Library Stack Trace:");
    s->signal = has_signal_scariness(s->text);
}

/* "mod/pkg.FuzzParse.func1": what is given to (*testing.F).Fuzz. */
static bool is_go_harness(struct view name)
{
    view_after_last(name, "/", &name);
    ssize_t at = view_find(name, ".Fuzz");
    if (at <= 0 || name.s[at - 1] == ')') /* a method */
        return false;
    name = view_from(name, (size_t)at + strlen(".Fuzz"));
    return name.n && !(name.s[0] >= 'a' && name.s[0] <= 'z') && view_has(name, ".func");
}

/* The function that the fuzzer calls with each input, in the languages that have one. */
static bool is_harness(const struct scan *s, struct view name)
{
    return view_starts(name, "LLVMFuzzerTestOneInput") || view_starts(name, "TestOneProtoInput") ||
           view_is(name, "TestOneInput") || view_ends(name, ".fuzzerTestOneInput") || view_has(name, "__libfuzzer_sys_run") ||
           view_has(name, "rust_fuzzer_test_input") || (s->go && is_go_harness(name));
}

static void mark_harness(const struct scan *s, struct crash_frame *frames, size_t n)
{
    for (size_t i = 0; i < n; i++)
        frames[i].harness = (i && frames[i - 1].harness) || (frames[i].function && is_harness(s, view_of(frames[i].function)));
}

static int give_result(struct scan *s, struct err *err)
{
    struct crash *c = s->crash;
    c->kind = scan_found(s) ? s->kind : CRASH_NONE;
    c->type = scan_copy(s, view_of(s->type));
    c->address = scan_copy(s, view_of(s->address));
    c->state = arena_strndup(&c->arena, strbuf_str(&s->state), s->state.len);
    c->frame_count = c->kind == CRASH_NONE ? 0 : s->frames.len;
    struct crash_frame *frames = arena_alloc(&c->arena, (c->frame_count + 1) * sizeof *frames);
    if (frames && c->frame_count)
        memcpy(frames, s->frames.v, c->frame_count * sizeof *frames);
    if (frames)
        mark_harness(s, frames, c->frame_count);
    c->frames = frames;
    crash_rate(s);
    if (s->no_memory || s->state.failed || !c->state || !frames || !c->severity_reason)
        return err_nomem(err);
    return 0;
}

static int scan_text(struct view text, const struct crash_options *o, struct crash *ret, struct err *err)
{
    static const struct crash_options none;
    struct scan s = {.options = o ? o : &none, .text = text, .crash = ret, .state = STRBUF_INIT_MAX(SCAN_STATE_MAX * 2),
                     .last_frame = -1};
    look_around(&s);
    if (!s.python || !read_traceback(&s)) {
        s.python = false;
        while (text.n) {
            read_lines(&s, next_line(&s, &text));
            text = go_stuck(&s, text);
        }
    }
    scan_fallback(&s);
    scan_normalise(&s);
    int r = give_result(&s, err);
    strbuf_release(&s.state);
    VEC_RELEASE(&s.names);
    VEC_RELEASE(&s.frames);
    return r;
}

static void crash_init(struct crash *c)
{
    *c = (struct crash){.type = "", .state = "", .address = "", .severity_reason = "", .exploit_class = ""};
    arena_init(&c->arena, SCAN_ARENA_MAX);
}

/* Where no stack was found, it may be because each line begins with what a logger put there. */
static int scan_logged(struct view text, const struct crash_options *o, struct crash *io, struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT;
    struct crash again;
    if (!log_prefixes_drop(text, &b))
        return b.failed ? err_nomem(err) : 0;
    crash_init(&again);
    int r = scan_text((struct view){b.s, b.len}, o, &again, err);
    if (r == 0 && again.kind != CRASH_NONE && (again.frame_count || io->kind == CRASH_NONE)) {
        struct crash first = *io;
        again.truncated = first.truncated;
        *io = again;
        again = first;
    }
    crash_release(&again);
    return r;
}

int crash_parse_text(struct view text, const struct crash_options *o, struct crash *ret, struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT;
    if (text_clean(text, &b))
        text = (struct view){strbuf_str(&b), b.len};
    if (b.failed)
        return err_nomem(err);
    int r = scan_text(text, o, ret, err);
    return r == 0 && !ret->frame_count ? scan_logged(text, o, ret, err) : r;
}

int crash_parse(const char *text, size_t len, const struct crash_options *o, struct crash *ret, struct err *err)
{
    crash_init(ret);
    _cleanup_free_ char *both = NULL;
    if (len > CRASH_REPORT_MAX) {
        both = mem_alloc(CRASH_REPORT_MAX + 1);
        if (!both)
            return err_nomem(err);
        memcpy(both, text, CRASH_REPORT_MAX / 2);
        both[CRASH_REPORT_MAX / 2] = '\n';
        memcpy(both + CRASH_REPORT_MAX / 2 + 1, text + len - CRASH_REPORT_MAX / 2, CRASH_REPORT_MAX / 2);
        text = both;
        len = CRASH_REPORT_MAX + 1;
        ret->truncated = true;
    }
    int r = casrep_parse(text, len, o, ret, err);
    if (r == 0)
        r = crash_parse_text((struct view){text, len}, o, ret, err);
    return r < 0 ? r : 0;
}

void crash_release(struct crash *c)
{
    arena_release(&c->arena);
    *c = (struct crash){.type = "", .state = "", .address = "", .severity_reason = "", .exploit_class = ""};
}
