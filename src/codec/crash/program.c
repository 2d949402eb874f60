/* What programs say of themselves before they die: assertions, CHECK of Chromium and V8, Google's and libc's logs; and
 * what fuzzers add: time-outs, memory bounds, exits. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

/* --- the words of a failed check ------------------------------------------------------------------------------ */

/* The condition alone: without the values that it had, which differ from run to run. */
struct view scan_clean_check(struct view m)
{
    struct view rest;
    if (m.n > 4096)
        m.n = 4096;
    view_skip(&m, "Check failed: ");
    /* "CHECK_EQ(a,1u) failed: 25 vs. 1" */
    ssize_t failed = view_find(m, "failed: "), vs;
    if (failed >= 0 && (vs = view_find(view_from(m, (size_t)failed), " vs.")) >= 0 && (size_t)(failed + vs) + 4 < m.n &&
        is_blank(m.s[failed + vs + 4]))
        m.n = (size_t)failed + strlen("failed");
    /* "len > 0 (-1 vs. 0)" */
    ssize_t open = view_find(m, " (");
    if (open >= 0 && (vs = view_find(rest = view_from(m, (size_t)open), " vs. ")) >= 0)
        m.n = (size_t)open;
    /* "key = 'abc'", ": \"abc\"" */
    if (m.n > 2 && (view_ends(m, "'") || view_ends(m, "\""))) {
        char quote = m.s[m.n - 1];
        for (size_t i = 0; i + 2 < m.n; i++) {
            size_t k = i + 1;
            if (m.s[i] != ':' && m.s[i] != '=')
                continue;
            while (k < m.n && is_blank(m.s[k]))
                k++;
            if (k < m.n - 1 && m.s[k] == quote) {
                m.n = i;
                while (m.n && is_blank(m.s[m.n - 1]))
                    m.n--;
                break;
            }
        }
    }
    return view_trim_set(m, " .'\"[]");
}

struct view scan_clean_file(struct view file)
{
    file = view_trim_set(file, " .'\"[]");
    for (size_t i = 0; i < file.n; i++)
        if (file.s[i] == ':' || file.s[i] == '(')
            file.n = i;
    return view_first(view_basename(file), 1024);
}

void scan_check_failure(struct scan *s, enum crash_kind kind, const char *type, struct view file, struct view message)
{
    scan_restart(s);
    scan_type(s, kind, type);
    message = scan_clean_check(message);
    file = scan_clean_file(file);
    strbuf_append(&s->state, message.s, message.n);
    strbuf_printf(&s->state, " in %.*s\n", (int)file.n, file.s);
    s->state_frames = 1;
}

/* --- assertions --------------------------------------------------------------------------------------------------- */

static void assertion(struct scan *s, struct view condition)
{
    scan_type(s, CRASH_CHECK, "ASSERT");
    s->state_frames = 1;
    if (condition.n)
        scan_set_state(s, condition);
}

/* "F0101 12:13:14.123456 1234 file.cc:12] message": the log line of a program that gives up. */
static bool google_fatal(struct view line, struct view *ret_file, struct view *ret_message)
{
    struct view rest = line, digits;
    if (!view_skip(&rest, "F") || (digits = view_take(&rest, is_digit)).n != 4 || !view_skip_space(&rest))
        return false;
    for (int i = 0; i < 3; i++)
        if (view_take(&rest, is_digit).n != 2 || !view_skip(&rest, i < 2 ? ":" : "."))
            return false;
    if (!view_take(&rest, is_digit).n || !view_skip_space(&rest) || !view_take(&rest, is_digit).n || !view_skip_space(&rest))
        return false;
    ssize_t end = view_rfind_char(rest, ']'), colon = end > 0 ? view_rfind_char(view_first(rest, (size_t)end), ':') : -1;
    if (colon <= 0)
        return false;
    *ret_file = view_first(rest, (size_t)colon);
    *ret_message = view_from(rest, (size_t)end + 1);
    return true;
}

/* What may stand before the mark of an assertion: nothing, "[...]", or a source file with its line. */
static bool is_assert_prefix(struct view prefix)
{
    static const char *const suffixes[] = {".c:", ".cc:", ".cpp:", ".cxx:", ".h:", ".hh:", ".hpp:", ".hxx:"};
    prefix = view_trim(prefix);
    if (!prefix.n || (prefix.s[0] == '[' && prefix.s[prefix.n - 1] == ']'))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (view_has(prefix, suffixes[i]))
            return true;
    return false;
}

static void plain_assert(struct scan *s, struct view line)
{
    static const char *const marks[] = {"assertion failed: ", "assertion failure: ", "assert failed: ", "assert failure: ",
                                        "panic: "};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        ssize_t at = view_find_nocase(line, marks[i]);
        if (at < 0 || !is_assert_prefix(view_first(line, (size_t)at)))
            continue;
        assertion(s, view_from(line, (size_t)at + strlen(marks[i])));
        return;
    }
}

/* "prog: file.c:12: f: Assertion `x' failed." of libc; "file.h:12: assertion x failed: why" of libc++. */
static void libc_assert(struct scan *s, struct view line)
{
    struct view rest = line, c;
    ssize_t at, end;
    if ((at = view_find_nocase(line, "assertion ")) < 0)
        return;
    struct view before = view_first(line, (size_t)at);
    while (before.n && is_blank(before.s[before.n - 1]))
        before.n--;
    if (!view_ends(before, ":"))
        return;
    c = view_from(line, (size_t)at + strlen("assertion "));
    if (view_ends(c, " failed") || view_ends(c, " failed.")) {
        c.n -= strlen(view_ends(c, ".") ? " failed." : " failed");
        if (c.n && strchr("`'\"", c.s[0]))
            c = view_from(c, 1);
        if (c.n && strchr("`'\"", c.s[c.n - 1]))
            c.n--;
        assertion(s, c);
    }
    before.n--;
    while (before.n && is_digit(before.s[before.n - 1]))
        before.n--;
    if (!view_ends(before, ":") || view_find_char(before, '/') < 0 || !view_starts(view_from(line, (size_t)at), "assertion "))
        return;
    if ((end = view_rfind(line, " failed:")) < at)
        return;
    rest = view_from(line, (size_t)end + strlen(" failed:"));
    view_skip_space(&rest);
    if (rest.n)
        assertion(s, rest);
}

bool rule_gnu_assert(struct scan *s, struct view line)
{
    struct view file, message, rest = line;
    if (!scan_type_starts(s, "Kernel failure")) {
        plain_assert(s, line);
        if (google_fatal(line, &file, &message) && view_after_last(message, "assertion failed at ", &rest) &&
            view_after_last(rest, ": ", &rest))
            assertion(s, rest);
        libc_assert(s, line);
        /* Rust, until 1.72: "thread 'main' panicked at 'message', src/main.rs:2:5" */
        ssize_t at = view_starts_nocase(line, "thread") ? view_find_nocase(line, " panicked at '") : -1;
        if (at > 0) {
            rest = view_from(line, (size_t)at + strlen(" panicked at '"));
            ssize_t end = view_find_char(rest, '\'');
            assertion(s, view_first(rest, end < 0 ? rest.n : (size_t)end));
            s->kind = CRASH_RUST;
        }
    }
    if (view_is(view_trim(line), "SHOULD NEVER BE REACHED")) {
        scan_restart(s);
        scan_type(s, CRASH_CHECK, "ASSERT_NOT_REACHED");
    }
    return false;
}

/* --- CHECK ---------------------------------------------------------------------------------------------------------- */

/* "[12:34:0101/121314.5:FATAL:file.cc(12)] ...": the file, at the last colon of the brackets, or the one before the line's
 * number; and what follows the brackets. */
static bool chromium_log(struct view line, bool anywhere, struct view *ret_file, struct view *ret_rest)
{
    ssize_t open = view_find_char(line, '[');
    if (open < 0 || (!anywhere && view_trim(view_first(line, (size_t)open)).n))
        return false;
    struct view in = view_from(line, (size_t)open + 1), file;
    ssize_t close = view_find_char(in, ']');
    if (close < 0)
        return false;
    *ret_rest = view_from(in, (size_t)close + 1);
    in = view_first(in, (size_t)close);
    ssize_t colon = view_rfind_char(in, ':');
    if (colon < 0)
        return false;
    file = view_from(in, (size_t)colon + 1);
    if (file.n && is_digit(file.s[0])) { /* file.cc:12 */
        colon = view_rfind_char(view_first(in, (size_t)colon), ':');
        file = view_from(in, (size_t)(colon + 1));
    } else if (!anywhere && view_find_char(file, '(') < 0) {
        return false;
    }
    *ret_file = file;
    return true;
}

bool rule_security_check(struct scan *s, struct view line)
{
    static const char *const marks[] = {"Security CHECK failed:", "Security DCHECK failed:"};
    static const char *const types[] = {"Security CHECK failure", "Security DCHECK failure"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        struct view file, rest, message;
        if (!view_after_last(line, marks[i], &message) || !chromium_log(line, true, &file, &rest))
            continue;
        view_skip_space(&message);
        ssize_t dot = view_rfind_char(message, '.');
        if (dot >= 0)
            scan_check_failure(s, CRASH_CHECK, types[i], file, view_first(message, (size_t)dot));
    }
    return false;
}

bool rule_check(struct scan *s, struct view line)
{
    static const char *const marks[] = {"Check failed:", "DCHECK failed:", "NOTREACHED hit."};
    struct view file, message, rest;
    if (google_fatal(line, &file, &message)) {
        view_skip_space(&message);
        scan_check_failure(s, CRASH_CHECK, view_starts(message, "Check failed:") ? "CHECK failure" : "Fatal error", file,
                           message);
        return false;
    }
    if (!chromium_log(line, false, &file, &rest))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (!view_after_last(rest, marks[i], &message))
            continue;
        view_skip_space(&message);
        ssize_t end = view_find_char(message, ';');
        scan_check_failure(s, CRASH_CHECK, "CHECK failure", file, view_first(message, end < 0 ? message.n : (size_t)end));
        break;
    }
    return false;
}

/* --- V8 --------------------------------------------------------------------------------------------------------------- */

/* "abort: CSA_DCHECK failed: x [../src/file.tq:12]" */
static void read_csa(struct scan *s, struct view message)
{
    scan_restart(s);
    scan_type(s, CRASH_V8, "ASSERT");
    ssize_t open = view_find(message, " ["), colon = view_rfind_char(message, ':');
    struct view line = colon > 0 ? view_from(message, (size_t)colon + 1) : message;
    if (open > 0 && colon > open && view_take(&line, is_digit).n && view_is(line, "]")) {
        struct view file = scan_clean_file(view_first(view_from(message, (size_t)open + 2), (size_t)(colon - open) - 2));
        scan_set_state(s, view_first(message, (size_t)open));
        strbuf_append(&s->state, file.s, file.n);
    } else {
        scan_set_state(s, message);
    }
    s->state_frames = CRASH_STATE_FRAMES;
}

bool rule_v8(struct scan *s, struct view line)
{
    struct view rest = line;
    if (view_skip(&rest, "abort: ") && (view_starts(rest, "CSA_ASSERT failed: ") || view_starts(rest, "CSA_DCHECK failed: ")))
        read_csa(s, rest);
    rest = line;
    view_skip_space(&rest);
    ssize_t close = view_starts(rest, "[") ? view_find_char(rest, ']') : -1;
    if (close > 0) {
        rest = view_from(rest, (size_t)close + 1);
        if (view_skip(&rest, " V8 error: ") && rest.n > 1 && view_ends(rest, ".")) {
            scan_restart(s);
            scan_type(s, CRASH_V8, "V8 API error");
            scan_set_state(s, view_first(rest, rest.n - 1));
        }
    }
    rest = line;
    if (view_skip(&rest, "#")) {
        view_skip_space(&rest);
        if (view_starts(rest, "V8 correctness failure")) {
            scan_restart(s);
            scan_type(s, CRASH_V8, "V8 correctness failure");
        }
    }
    rest = line;
    if (view_skip(&rest, "Received signal 11 ")) { /* a handler of the program's own */
        ssize_t end = view_find_char(rest, ' ');
        struct view code = view_first(rest, end < 0 ? 0 : (size_t)end);
        if (view_starts(code, "SEGV_") || view_is(code, "<unknown>")) {
            rest = view_from(rest, (size_t)end + 1);
            scan_restart(s);
            scan_type(s, CRASH_SIGNAL, "UNKNOWN");
            scan_address(s, "0x", view_take(&rest, is_hex));
        }
    }
    return false;
}

/* The name of the file or function that "# Fatal error in" names, as a frame. */
static void begin_fatal_error(struct scan *s, struct view where, const char *type)
{
    scan_restart(s);
    scan_type(s, CRASH_V8, type);
    s->fatal_error = true;
    if (where.n) {
        struct view name = frame_name(s, where);
        strbuf_append(&s->state, name.s, name.n);
    }
}

static bool is_hash_line(struct view line, const char *text, struct view *ret_rest)
{
    struct view rest = line;
    if (!view_skip(&rest, "#"))
        return false;
    view_skip_space(&rest);
    if (!view_skip(&rest, text))
        return false;
    *ret_rest = rest;
    return true;
}

/* "# Fatal error in file.cc, line 12", "# Check failed: x.", "# unreachable code": a box of three to five lines. */
bool rule_fatal_error(struct scan *s, struct view line)
{
    struct view rest, text = line;
    if (!s->fatal_error || !view_skip(&text, "#"))
        return false;
    bool runtime = is_hash_line(line, "Runtime error in ", &rest);
    if (runtime || is_hash_line(line, "Fatal error in ", &rest)) {
        ssize_t at = view_rfind(rest, ", line ");
        if (at >= 0 && view_from(rest, (size_t)at + 7).n && is_digit(rest.s[at + 7])) {
            struct view file = scan_clean_file(view_first(rest, (size_t)at));
            scan_type(s, CRASH_V8, runtime ? "RUNTIME_ASSERT" : "Fatal error");
            snprintf(s->check_file, sizeof s->check_file, "%.*s", (int)file.n, file.s);
            scan_set_state(s, file);
            return true;
        }
    }
    if (!view_skip_space(&text))
        return false;
    struct view message = text, node = text;
    scan_restart(s);
    if (view_skip(&message, "Debug check failed: "))
        scan_type(s, CRASH_V8, "DCHECK failure");
    else if (view_skip(&message, "Check failed: "))
        scan_type(s, CRASH_V8, "CHECK failure");
    else if (view_skip(&node, "RepresentationChangerError: node #") && view_take(&node, is_digit).n && view_skip(&node, ":")) {
        scan_type(s, CRASH_V8, "CHECK failure");
        message = node;
    }
    if (view_trim(message).n) {
        message = scan_clean_check(message);
        strbuf_append(&s->state, message.s, message.n);
        if (s->check_file[0])
            strbuf_printf(&s->state, " in %s", s->check_file);
        strbuf_putc(&s->state, '\n');
        s->state_frames = 1;
    }
    if (view_starts(line, "# unreachable code") || view_starts(line, "# unimplemented code")) {
        scan_restart(s);
        scan_type(s, CRASH_V8, "Unreachable code");
        if (s->check_file[0])
            scan_set_state(s, view_of(s->check_file));
    }
    return false;
}

/* --- fuzzers, limits ------------------------------------------------------------------------------------------------ */

static bool libfuzzer_error(struct view line, const char *what)
{
    struct view rest = line;
    while (view_after(rest, "ERROR:", &rest)) {
        struct view tail = rest;
        view_skip_space(&tail);
        if (!view_skip(&tail, "libFuzzer:"))
            continue;
        view_skip_space(&tail);
        if (view_starts(tail, what))
            return true;
    }
    return false;
}

/* Memory that is out, in the words of sanitizers, libFuzzer, Centipede, V8, Blink, PDFium, Rust, graphics drivers. The
 * second must follow the first. */
static const char *const memory_marks[][2] = {
    {"libFuzzer: out-of-memory ("},
    {"rss limit exhausted"},
    {"ERROR", "Sanitizer failed to allocate"},
    {"Sanitizer: allocation-size-too-big"},
    {"Sanitizer: calloc-overflow"},
    {"Sanitizer: calloc parameters overflow"},
    {"Sanitizer: requested allocation size", "exceeds maximum supported size"},
    {"Sanitizer: out of memory"},
    {"allocator is out of memory trying to allocate"},
    {"========= RSS limit exceeded:"},
    {"Failure description: out-of-memory"},
    {"in rust_oom"},
    {"__rust_alloc_error_handler"},
    {"# Allocation failed", "out of memory"},
    {"Fatal process out of memory:"},
    {"Fatal JavaScript out of memory:"},
    {"Fatal JavaScript invalid size error"},
    {"FatalProcessOutOfMemory"},
    {"blinkGCOutOfMemory"},
    {"TerminateBecauseOutOfMemory"},
    {"FX_OutOfMemoryTerminate"},
    {"::OnNoMemory"},
    {"Out of memory. Dying."},
    {"Out of memory. size="},
    {"couldnt allocate", "Out of memory"},
    {"A device memory allocation has failed."},
};

static bool is_memory_line(struct view line)
{
    for (size_t i = 0; i < ARRAY_LEN(memory_marks); i++) {
        struct view rest = line;
        if (view_after(rest, memory_marks[i][0], &rest) && (!memory_marks[i][1] || view_has(rest, memory_marks[i][1])))
            return true;
    }
    return false;
}

bool rule_limits(struct scan *s, struct view line)
{
    struct view rest = line;
    bool centipede = view_skip(&rest, "========= ");
    struct view timeout = rest;
    if (libfuzzer_error(line, "timeout") ||
        (centipede && (view_starts(rest, "Per-input timeout exceeded:") ||
                       (view_skip(&timeout, "Timeout of ") && view_take(&timeout, is_digit).n &&
                        view_starts(timeout, " seconds exceeded; exiting"))))) {
        scan_restart(s);
        scan_type(s, centipede ? CRASH_CENTIPEDE : CRASH_LIBFUZZER, "Timeout");
    }
    if (is_memory_line(line)) {
        scan_restart(s);
        scan_type(s, view_has(line, "libFuzzer") ? CRASH_LIBFUZZER : scan_found(s) ? s->kind : CRASH_OTHER, "Out-of-memory");
    }
    if (centipede && view_starts(rest, "Stack limit exceeded: ") && view_ends(rest, " (byte); aborting"))
        scan_type(s, CRASH_CENTIPEDE, "Stack-overflow");
    if (view_is(line, "## V8 sandbox violation detected!"))
        scan_type(s, CRASH_V8, "V8 sandbox violation");
    return false;
}

bool rule_libfuzzer(struct scan *s, struct view line)
{
    static const struct {
        const char *says, *type;
    } errors[] = {
        {"deadly signal", "Fatal-signal"},
        {"fuzz target exited", "Unexpected-exit"},
        {"fuzz target overwrites its const input", "Overwrites-const-input"},
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (libfuzzer_error(line, errors[i].says)) {
            scan_restart(s);
            scan_type(s, CRASH_LIBFUZZER, errors[i].type);
        }
    return false;
}

/* The program did not even start. */
bool rule_missing_library(struct scan *s, struct view line)
{
    struct view rest, name = {0};
    if (view_after_last(line, "error while loading shared libraries: ", &rest)) {
        ssize_t end = view_find_char(rest, ':');
        if (end >= 0 && view_starts(view_from(rest, (size_t)end), ": cannot open shared object file"))
            name = view_first(rest, (size_t)end);
    } else if (view_after_last(line, ": library ", &rest) && rest.n && strchr("`'\"", rest.s[0]) &&
               view_has(rest, " not found")) {
        name = view_first(view_from(rest, 1), (size_t)view_find(rest, " not found") - 2);
    } else if (view_after_last(line, ": cannot locate symbol ", &rest) && rest.n && strchr("`'\"", rest.s[0]) &&
               view_has(rest, " referenced by")) {
        name = view_first(view_from(rest, 1), (size_t)view_find(rest, " referenced by") - 2);
    }
    if (name.s) {
        scan_restart(s);
        scan_type(s, CRASH_OTHER, "Missing-library");
        strbuf_append(&s->state, name.s, name.n < 1024 ? name.n : 1024);
    }
    return false;
}

/* --- what is looked for only while nothing else has been found ---------------------------------------------------- */

bool rule_first_report(struct scan *s, struct view line)
{
    struct view rest;
    if (scan_found(s))
        return false;
    rule_cdb(s, line);
    rule_asan(s, line);
    if (view_has(line, "GPU process exited unexpectedly")) {
        scan_restart(s);
        scan_type(s, CRASH_OTHER, "GPU failure");
    }
    rule_java(s, line);
    rule_check(s, line);
    if (is_hash_line(line, "Fatal error", &rest) && (!rest.n || view_skip(&rest, " in ")))
        begin_fatal_error(s, rest, "Fatal error");
    if (is_hash_line(line, "Runtime error in ", &rest))
        begin_fatal_error(s, rest, "RUNTIME_ASSERT");
    rule_go_fatal(s, line);
    rule_v8(s, line);
    rule_libfuzzer(s, line);
    rule_missing_library(s, line);
    return false;
}
