/* What language runtimes and the fuzzers of their languages print: Go, Python (Atheris), Java (Jazzer), JavaScript
 * (Jazzer.js). */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

/* --- Go ------------------------------------------------------------------------------------------------------- */

/* The word begins the line or follows a blank. */
static bool at_word(struct view line, ssize_t at)
{
    return at == 0 || (at > 0 && line.s[at - 1] == ' ');
}

/* "panic: runtime error: index out of range [5] with length 3", also behind words and as "panic in F: ...". */
static bool go_runtime_error(struct view line, struct view *ret_what)
{
    static const char error[] = ": runtime error: ", in[] = "panic in ";
    ssize_t at = view_find_nocase(line, error);
    if (at < 0)
        return false;
    struct view head = view_first(line, (size_t)at), rest = head;
    bool panic = at >= 5 && view_starts_nocase(view_from(head, (size_t)at - 5), "panic") && at_word(head, at - 5);
    for (ssize_t i; !panic && (i = view_find_nocase(rest, in)) >= 0; rest = view_from(rest, (size_t)i + 1))
        panic = at_word(line, rest.s + i - line.s);
    *ret_what = view_from(line, (size_t)at + sizeof error - 1);
    return panic;
}

bool rule_go_panic(struct scan *s, struct view line)
{
    static const struct {
        const char *says, *type;
    } errors[] = {
        {"integer divide by zero", "Integer divide by zero"},
        {"index out of range", "Index out of range"},
        {"invalid memory address", "Invalid memory address"},
        {"makeslice: len out of range", "Makeslice: len out of range"},
        {"slice bounds out of range", "Slice bounds out of range"},
    };
    struct view what;
    const char *type = NULL;
    if (!s->go)
        return false;
    if (view_starts(line, "fatal error: stack overflow"))
        type = "Stack overflow";
    else if (view_starts(line, "panic: test timed out after "))
        type = "Timeout";
    else if (go_runtime_error(line, &what))
        for (size_t i = 0; i < ARRAY_LEN(errors) && !type; i++)
            if (view_starts_nocase(what, errors[i].says))
                type = errors[i].type;
    if (type) {
        scan_clear_state(s);
        scan_type(s, CRASH_GO, type);
        s->go_crash = true;
    } else if (scan_is(s, "ASSERT") && view_starts(view_trim(line), "panic: ")) { /* one in a recover() is indented */
        s->kind = CRASH_GO;
    }
    return false;
}

struct view go_stuck(struct scan *s, struct view text)
{
    struct view before, rest;
    if (s->kind != CRASH_GO || !scan_is(s, "Timeout") || s->stuck || !view_after(text, "\ntesting.(*F).Fuzz.func1.1(", &rest))
        return text;
    s->stuck = true;
    before = view_first(text, (size_t)(rest.s - text.s));
    return view_after_last(before, "\ngoroutine ", &rest) ? view_from(text, (size_t)(rest.s - text.s)) : text;
}

bool rule_go_fatal(struct scan *s, struct view line)
{
    struct view rest = line;
    if (!s->go || !view_skip(&rest, "fatal error: "))
        return false;
    scan_restart(s);
    scan_type(s, CRASH_GO, "Fatal error");
    scan_set_state(s, rest);
    return false;
}

/* --- Python, JavaScript --------------------------------------------------------------------------------------------- */

bool rule_python(struct scan *s, struct view line)
{
    const char *type = NULL;
    if (s->python && view_is(view_trim(line), "=== Uncaught Python exception: ==="))
        type = "Uncaught exception";
    else if (s->python && view_starts(line, "===BUG DETECTED: PySecSan:"))
        type = "PySecSan";
    if (type) {
        scan_clear_state(s);
        scan_type(s, CRASH_PYTHON, type);
        s->script_crash = true;
    }
    return false;
}

/* "==12== Uncaught Exception: Jazzer.js: message" */
bool rule_jazzer_js(struct scan *s, struct view line)
{
    struct view rest = line;
    view_skip_space(&rest);
    if (!s->js || !view_skip(&rest, "==") || !view_take(&rest, is_digit).n ||
        !view_starts(rest, "== Uncaught Exception: Jazzer.js: "))
        return false;
    scan_clear_state(s);
    scan_type(s, CRASH_JAVASCRIPT, "Uncaught exception");
    s->script_crash = true;
    return true;
}

/* --- Java ------------------------------------------------------------------------------------------------------------- */

bool rule_java(struct scan *s, struct view line)
{
    static const char wycheproof[] = "(com.google.security.wycheproof.";
    if (view_starts(line, "== Java Exception: ")) {
        scan_type(s, CRASH_JAVA, view_has(line, "FuzzerSecurityIssue") ? "Security exception" : "Uncaught exception");
        s->java_exception = true;
    }
    ssize_t at = view_rfind(line, wycheproof), end;
    if (at > 0 && (end = view_find_char(view_from(line, (size_t)at), ')')) > 0) {
        ssize_t begin = view_rfind(view_first(line, (size_t)at), ") ");
        if (begin >= 0) {
            struct view test = view_first(view_from(line, (size_t)begin + 2), (size_t)(at + end - begin) - 1);
            scan_type(s, CRASH_JAVA, "Wycheproof error");
            scan_empty(s, &s->state);
            strbuf_append(&s->state, test.s, test.n < 1024 ? test.n : 1024);
            s->java_exception = true;
        }
    }
    struct view rest;
    if (view_after(line, "FATAL EXCEPTION", &rest) && view_find_char(rest, ':') >= 0) {
        scan_restart(s);
        scan_type(s, CRASH_JAVA, "Fatal Exception");
        s->java_exception = true;
    }
    return false;
}
