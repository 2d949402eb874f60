/* Reports without a sanitizer or fuzzer in them, read only where nothing else was found: plain tracebacks and panics, libc's
 * last words, debuggers' stacks, what afl-fuzz's tools and shells say of a signal. The types are ClusterFuzz's where it has
 * one for the same fault. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

/* The next line of the text. */
static struct view take_line(struct view *text)
{
    ssize_t end = view_find_char(*text, '\n');
    struct view line = view_first(*text, end < 0 ? text->n : (size_t)end);
    *text = view_from(*text, end < 0 ? text->n : (size_t)end + 1);
    if (view_ends(line, "\r"))
        line.n--;
    return line;
}

/* A crash of this type begins; the line becomes the first of the state unless it is empty. */
static void begin(struct scan *s, enum crash_kind kind, const char *type, struct view state)
{
    scan_restart(s);
    scan_type(s, kind, type);
    if (view_trim(state).n) {
        scan_set_state(s, view_first(view_trim(state), 1024));
        s->state_frames = 1;
    }
}

static const struct view nothing = {"", 0};

/* --- libc, C++, signals ----------------------------------------------------------------------------------------------- */

static const struct {
    const char *says;
    enum crash_kind kind;
    const char *type;
} messages[] = {
    {"*** stack smashing detected ***", CRASH_GLIBC, "Stack-buffer-overflow"},
    {"*** buffer overflow detected ***", CRASH_GLIBC, "Fortify-failure"},
    {"free(): double free detected", CRASH_GLIBC, "Heap-double-free"},
    {"double free or corruption", CRASH_GLIBC, "Heap-double-free"},
    {"free(): invalid pointer", CRASH_GLIBC, "Invalid-free"},
    {"free(): invalid size", CRASH_GLIBC, "Invalid-free"},
    {"munmap_chunk(): invalid pointer", CRASH_GLIBC, "Invalid-free"},
    {"realloc(): invalid pointer", CRASH_GLIBC, "Invalid-free"},
    {"free(): corrupted unsorted chunks", CRASH_GLIBC, "Heap-corruption"},
    {"free(): invalid next size", CRASH_GLIBC, "Heap-corruption"},
    {"malloc(): ", CRASH_GLIBC, "Heap-corruption"},
    {"malloc_consolidate(): ", CRASH_GLIBC, "Heap-corruption"},
    {"corrupted size vs. prev_size", CRASH_GLIBC, "Heap-corruption"},
    {"corrupted double-linked list", CRASH_GLIBC, "Heap-corruption"},
    {"+++ Program timed off +++", CRASH_AFL, "Timeout"},
    {"has overflowed its stack", CRASH_RUST, "Stack-overflow"},
    {"memory allocation of ", CRASH_RUST, "Out-of-memory"},
    {"JavaScript heap out of memory", CRASH_JAVASCRIPT, "Out-of-memory"},
    {"BUG: kernel NULL pointer dereference", CRASH_KERNEL, "Kernel failure\nNull-dereference"},
    {"BUG: unable to handle kernel NULL pointer dereference", CRASH_KERNEL, "Kernel failure\nNull-dereference"},
    {"BUG: unable to handle page fault", CRASH_KERNEL, "Kernel failure\nPage-fault"},
    {"BUG: unable to handle kernel paging request", CRASH_KERNEL, "Kernel failure\nPage-fault"},
    {"general protection fault", CRASH_KERNEL, "Kernel failure\nGeneral-protection-fault"},
    {"to show where the exception was thrown)", CRASH_JAVASCRIPT, "Uncaught exception"}, /* what was thrown is no error */
    {"Segmentation fault", CRASH_SIGNAL, "UNKNOWN"},
    {"Bus error", CRASH_SIGNAL, "Bus"},
    {"Illegal instruction", CRASH_SIGNAL, "Ill"},
    {"Floating point exception", CRASH_SIGNAL, "Floating-point-exception"},
    {"Aborted", CRASH_SIGNAL, "Abrt"},
};

const char *signal_type(int number)
{
    return number == 4 ? "Ill" : number == 5 ? "Trap" : number == 6 ? "Abrt" : number == 7 ? "Bus" :
           number == 8 ? "Floating-point-exception" : number == 11 ? "UNKNOWN" : "Fatal-signal";
}

/* A fault without an address, of a sanitizer that ClusterFuzz reads only with one. */
static bool read_sanitizer(struct scan *s, struct view line)
{
    static const struct {
        const char *says;
        enum crash_kind kind;
    } tools[] = {{"ERROR: UndefinedBehaviorSanitizer: ", CRASH_UBSAN}, {"ERROR: LeakSanitizer: ", CRASH_LSAN}};
    struct view rest;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (!view_after(line, tools[i].says, &rest))
            continue;
        size_t n = 0;
        while (n < rest.n && !strchr("(:;", rest.s[n]))
            n++;
        scan_restart(s);
        scan_sanitizer_type(s, tools[i].kind, view_first(rest, n));
        return true;
    }
    return false;
}

/* What a shell says of a job: behind "run.sh: line 3:  1234 " where it names a script. */
static struct view shell_words(struct view line)
{
    struct view rest;
    if (view_after(line, ": line ", &rest) && view_take(&rest, is_digit).n && view_skip(&rest, ":") && view_skip_space(&rest) &&
        view_take(&rest, is_digit).n && view_skip_space(&rest))
        return view_trim(rest);
    return view_trim(line);
}

static bool read_message(struct scan *s, struct view line)
{
    struct view rest;
    if (view_after(line, "terminate called after throwing an instance of '", &rest)) {
        ssize_t end = view_find_char(rest, '\'');
        begin(s, CRASH_CHECK, "Uncaught exception", view_first(rest, end < 0 ? rest.n : (size_t)end));
        return true;
    }
    if (view_after(line, "+++ Program killed by signal ", &rest)) { /* afl-showmap */
        begin(s, CRASH_AFL, signal_type(view_int(rest)), nothing);
        return true;
    }
    if (view_after(line, "Program terminated with signal ", &rest) || /* gdb, of a core; of a program with threads */
        (view_starts(line, "Thread ") && view_after(line, " received signal ", &rest))) {
        struct view name = view_take(&rest, is_alpha);
        char type[32];
        snprintf(type, sizeof type, "%.*s", (int)(name.n < 20 ? name.n : 20), name.s);
        if (!name.n)
            return false;
        begin(s, CRASH_GDB, type, nothing);
        return true;
    }
    struct view told = shell_words(line);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        bool word = messages[i].kind == CRASH_SIGNAL;
        if (!view_has(told, messages[i].says) ||
            (word && !view_starts(told, messages[i].says) && !view_ends(told, "(core dumped)")))
            continue;
        begin(s, messages[i].kind, messages[i].type, nothing);
        return true;
    }
    return false;
}

/* --- languages ---------------------------------------------------------------------------------------------------------- */

/* "thread 'main' panicked at src/main.rs:2:5:", the message in the line below. */
static bool read_rust_panic(struct scan *s, struct view line, struct view text)
{
    ssize_t at = view_starts(line, "thread ") ? view_find(line, " panicked at ") : -1;
    if (at < 0)
        return false;
    begin(s, CRASH_RUST, "ASSERT", take_line(&text));
    return true;
}

/* "Exception in thread "main" java.lang.X: message" */
static bool read_java_exception(struct scan *s, struct view line)
{
    if (!view_starts(line, "Exception in thread \""))
        return false;
    begin(s, CRASH_JAVA, "Uncaught exception", nothing);
    s->java_exception = true;
    return true;
}

/* "TypeError: message", then "    at f (/x.js:1:2)". A class of the program's own may have any name. */
static bool read_js_error(struct scan *s, struct view line, struct view text)
{
    struct view name = line, rest = line;
    view_skip(&rest, "Uncaught ");
    name = view_take(&rest, is_word);
    if (!name.n || (!view_ends(name, "Error") && !s->node) || (rest.n && !view_starts(rest, ": ") && !view_starts(rest, " [")))
        return false;
    for (int i = 0; i < 8 && text.n; i++) { /* a message may have several lines */
        struct view next = take_line(&text);
        if (!view_starts(next, "    at "))
            continue;
        begin(s, CRASH_JAVASCRIPT, "Uncaught exception", nothing);
        s->js = true;
        return true;
    }
    return false;
}

static bool read_go_race(struct scan *s, struct view line)
{
    if (!s->go || !view_is(line, "WARNING: DATA RACE"))
        return false;
    begin(s, CRASH_GO, "Data race", nothing);
    return true;
}

/* What a fuzz test itself calls wrong, by t.Error or t.Fatal: "--- FAIL: FuzzX/input (0.00s)", then "x_test.go:9: the words". The
 * words up to what belongs to the input are the state. */
static bool read_go_failure(struct scan *s, struct view line, struct view text)
{
    struct view name = view_trim(line), said = view_trim(take_line(&text)), words;
    char frame[CRASH_TEXT_MAX];
    if (!view_skip(&name, "--- FAIL: ") || !view_starts(name, "Fuzz") || !view_after(said, ".go:", &words))
        return false;
    struct view file = view_first(said, (size_t)(words.s - said.s) - 1);
    struct view number = view_take(&words, is_digit);
    if (!number.n || !view_skip(&words, ": "))
        return false;
    if (view_skip(&words, "panic: ")) { /* go test -fuzz tells it so, and the stack, indented, below */
        begin(s, CRASH_GO, "ASSERT", words);
        return true;
    }
    size_t n = 0, f = 0;
    while (n < words.n && !strchr("0123456789\"'`:[{(<,=", words.s[n]))
        n++;
    while (f < name.n && name.s[f] != '/' && name.s[f] != ' ')
        f++;
    begin(s, CRASH_GO, "Test failure", view_first(words, n));
    name = view_first(name, f < 200 ? f : 200);
    file = view_first(file, 200);
    snprintf(frame, sizeof frame, "#0 0x0 in %.*s %.*s:%d:1", (int)name.n, name.s, (int)file.n, file.s, view_int(number));
    rule_frame(s, (struct view){frame, strlen(frame)});
    s->stack_closed = true;
    return true;
}

/* Python's own traceback, innermost frame last; the exception follows unindented. The last one is of what nobody caught:
 * those before it are what it came of, or what was logged. Those in a group of exceptions have a margin. */
static bool read_plain_traceback(struct scan *s, struct view line, struct view text)
{
    static const char head[] = "Traceback (most recent call last):";
    VEC(struct view) lines = {0};
    if (!view_has(line, head))
        return false;
    begin(s, CRASH_PYTHON, "Uncaught exception", nothing);
    if (view_after_last(text, head, &text))
        take_line(&text);
    s->python = true;
    while (text.n) {
        struct view next = take_line(&text);
        if (next.n && !is_blank(next.s[0]))
            break;
        view_skip_space(&next);
        while (view_skip(&next, "| "))
            view_skip_space(&next);
        if (!VEC_PUSH(&lines, next))
            s->no_memory = true;
    }
    for (size_t i = lines.len; i > 0; i--)
        rule_frame(s, lines.v[i - 1]);
    VEC_RELEASE(&lines);
    s->stack_closed = true;
    s->state_frames = CRASH_STATE_FRAMES;
    return true;
}

/* What follows "Fatal Python error: ": a signal, by its name, that faulthandler caught, or the interpreter's own words. */
static void begin_python_fatal(struct scan *s, struct view what)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        if (messages[i].kind == CRASH_SIGNAL && view_is(what, messages[i].says)) {
            begin(s, CRASH_PYTHON, messages[i].type, nothing);
            return;
        }
    if (view_find_nocase(what, "stack overflow") >= 0)
        begin(s, CRASH_PYTHON, "Stack-overflow", nothing);
    else
        begin(s, CRASH_PYTHON, "Fatal error", what);
}

/* The end of the interpreter itself. The stack of the thread that did it may stand behind those of others, its innermost
 * frame first. Tracebacks before it are of what the program got over. */
static void read_python_fatal(struct scan *s, struct view text)
{
    bool in_stack = false;
    while (!scan_found(s) && text.n) {
        struct view line = view_trim(take_line(&text));
        if (view_skip(&line, "Fatal Python error: "))
            begin_python_fatal(s, line);
    }
    while (scan_found(s) && !s->stack_closed && text.n) {
        struct view line = take_line(&text);
        if (!in_stack) {
            in_stack = view_ends(line, "(most recent call first):") &&
                       (view_starts(line, "Current thread ") || view_starts(line, "Stack "));
            s->python = s->python || in_stack;
        } else if (!rule_frame(s, line)) {
            s->stack_closed = true;
        }
    }
}

/* --- their frames --------------------------------------------------------------------------------------------------------- */

static void read_gwp_asan_frame(struct scan *s, struct view line)
{
    char text[CRASH_TEXT_MAX];
    struct view number, module, name, rest = line;
    ssize_t open;
    if (!view_skip(&rest, "#") || !(number = view_take(&rest, is_digit)).n || !view_skip_space(&rest)) {
        s->stack_closed = s->frames.len > 0; /* another stack's head */
        return;
    }
    module = view_take(&rest, is_not_space);
    open = view_rfind_char(module, '(');
    if (open <= 0 || module.n > 2000)
        return;
    name = view_from(module, (size_t)open + 1);
    name.n -= view_ends(name, ")");
    ssize_t plus = view_rfind_char(name, '+');
    name = view_first(name, plus < 0 ? name.n : (size_t)plus);
    if (!name.n || view_has(name, "gwp_asan"))
        return;
    int n = snprintf(text, sizeof text, "#%d 0x0 in %.*s (%.*s)", view_int(number), (int)name.n, name.s, (int)open, module.s);
    rule_frame(s, (struct view){text, (size_t)n});
}

/* The frames that rule_frame() takes for no frames: of a Rust backtrace ("   3: krate::f"). Of gdb's stacks the first is
 * the crash's. */
static void read_frame(struct scan *s, struct view line)
{
    struct view rest = view_trim(line), number;
    if (s->kind == CRASH_RUST) {
        if (view_skip(&rest, "at "))
            scan_source(s, rest);
        number = view_take(&rest, is_digit);
        if (!number.n || !view_skip(&rest, ": "))
            return;
    } else if (s->kind == CRASH_OTHER) { /* GWP-ASan: "  #1 ./box(box_read+0x25) [0x5558]" */
        read_gwp_asan_frame(s, rest);
        return;
    } else if (s->kind == CRASH_GDB) {
        if (!view_skip(&rest, "#") || !(number = view_take(&rest, is_digit)).n || !view_skip_space(&rest))
            return;
        if (s->frames.len && view_int(number) == 0) /* again: "bt" repeats what was said of the core; or another thread's */
            s->stack_closed = s->frames.len > 1;
        else
            rule_frame(s, line);
        return;
    } else {
        if (s->kind == CRASH_GO && !rest.n && s->frames.len)
            s->stack_closed = true; /* the other goroutine's follows */
        if (s->kind == CRASH_GO && view_starts(rest, "runtime/debug.Stack(")) /* of what has caught the panic */
            return;
        rule_frame(s, s->kind == CRASH_GO && !view_starts(rest, "/") ? rest : line);
        return;
    }
    char text[CRASH_TEXT_MAX];
    rest = view_first(rest, sizeof text - 40);
    int n = snprintf(text, sizeof text, "#%d 0x0 in %.*s", view_int(number), (int)rest.n, rest.s);
    rule_frame(s, (struct view){text, (size_t)n});
}

/* "*** GWP-ASan detected a memory error ***", then "Use After Free at 0x7f (0 bytes into a 41-byte allocation at ..." */
static bool read_gwp_asan(struct scan *s, struct view line, struct view text)
{
    static const struct {
        const char *says, *type;
    } errors[] = {
        {"Use After Free", "Heap-use-after-free"}, {"Double Free", "Heap-double-free"}, {"Invalid (Wild) Free", "Invalid-free"},
        {"Buffer Overflow", "Heap-buffer-overflow"}, {"Buffer Underflow", "Heap-buffer-overflow"},
    };
    struct view rest;
    if (!view_has(line, "*** GWP-ASan detected a memory error ***"))
        return false;
    line = view_trim(take_line(&text));
    begin(s, CRASH_OTHER, "UNKNOWN", nothing);
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (view_starts(line, errors[i].says))
            scan_type(s, CRASH_OTHER, errors[i].type);
    if (view_after(line, " at 0x", &rest))
        scan_address(s, "0x", view_take(&rest, is_hex));
    return true;
}

/* Of the Java machine's own end: "#  SIGSEGV (0xb) at pc=0x00007f, pid=1, tid=2", "# Problematic frame:", the frame. */
static bool read_java_fatal(struct scan *s, struct view line, struct view text)
{
    static const char head[] = "# A fatal error has been detected by the Java Runtime Environment";
    char frame[CRASH_TEXT_MAX];
    bool framed = false;
    if (!view_starts(line, head))
        return false;
    begin(s, CRASH_JAVA, "Fatal-signal", nothing);
    for (int i = 0; i < 16 && text.n; i++) {
        struct view rest = take_line(&text), image;
        if (!view_skip(&rest, "#"))
            break;
        rest = view_trim(rest);
        if (view_starts(rest, "SIGSEGV"))
            scan_type(s, CRASH_JAVA, "UNKNOWN");
        else if (view_starts(rest, "SIGBUS"))
            scan_type(s, CRASH_JAVA, "Bus");
        else if (view_is(rest, "Problematic frame:"))
            framed = true;
        else if (framed && view_take(&rest, is_alpha).n == 1) { /* "C  [libbox.so+0x12]  box_read+0x3" */
            view_skip_space(&rest);
            if (view_skip(&rest, "[")) {
                image = view_take(&rest, is_not_space);
                image.n -= view_ends(image, "]");
                rest = view_trim(rest);
                int n = snprintf(frame, sizeof frame, "#0 0x0 in %.*s (%.*s)", (int)(rest.n < 1000 ? rest.n : 1000), rest.s,
                                 (int)(image.n < 1000 ? image.n : 1000), image.s);
                rule_frame(s, (struct view){frame, (size_t)n});
            }
            break;
        }
    }
    s->stack_closed = true;
    return true;
}

static bool begins(struct scan *s, struct view line, struct view rest)
{
    return read_plain_traceback(s, line, rest) || read_rust_panic(s, line, rest) || read_java_exception(s, line) ||
           read_js_error(s, line, rest) || read_go_race(s, line) || read_go_failure(s, line, rest) ||
           read_gwp_asan(s, line, rest) || read_java_fatal(s, line, rest) ||
           read_valgrind(s, line, rest) || read_sanitizer(s, line) || read_message(s, line);
}

/* Of UBSan without a stack (print_stacktrace=0) the place is all that tells two faults apart: "/src/a.c:9:5: runtime error: ". */
static void read_place(struct scan *s)
{
    struct view text = s->text;
    if (s->kind != CRASH_UBSAN || s->frames.len || s->state.len)
        return;
    while (text.n) {
        struct view line = take_line(&text), place = view_trim(line);
        ssize_t at = view_find(place, ": runtime error: ");
        if (at <= 0)
            continue;
        place = view_basename(view_first(place, (size_t)at));
        ssize_t colon = view_rfind_char(place, ':');
        ssize_t first = colon > 0 ? view_rfind_char(view_first(place, (size_t)colon), ':') : -1;
        scan_set_state(s, view_first(place, first > 0 ? (size_t)colon : place.n)); /* without the column */
        return;
    }
}

/* An error of the runtime that go test -fuzz tells of, with its stack further in. */
static void read_indented(struct scan *s, struct view text)
{
    s->fallback = view_after(text, "    goroutine ", &text);
    while (s->fallback && !s->stack_closed && text.n) {
        struct view line = take_line(&text);
        if (line.n <= SCAN_LINE_MAX)
            read_frame(s, line);
    }
    s->fallback = false;
}

void scan_fallback(struct scan *s)
{
    struct view text = s->text;
    if (scan_found(s) && s->kind == CRASH_GO && !s->frames.len)
        read_indented(s, text);
    if (scan_found(s)) {
        read_place(s);
        scan_tombstone_stack(s);
        scan_kernel_stack(s);
        return;
    }
    s->fallback = true;
    read_python_fatal(s, text);
    while (!scan_found(s) && text.n) {
        struct view line = take_line(&text);
        if (line.n <= SCAN_LINE_MAX)
            begins(s, line, text);
    }
    /* of a core, gdb says the signal first and the stack below; libc's words come after nothing */
    while (scan_found(s) && !s->stack_closed && s->kind != CRASH_PYTHON && text.n) {
        struct view line = take_line(&text);
        if (line.n <= SCAN_LINE_MAX)
            read_frame(s, line);
    }
    scan_kernel_stack(s);
}
