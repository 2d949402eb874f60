/* What debuggers (gdb, cdb), Android and kernels say: signals, KASAN, oops and panic. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

/* --- debuggers ------------------------------------------------------------------------------------------------ */

bool rule_gdb(struct scan *s, struct view line)
{
    struct view rest = line, word;
    if (view_skip(&rest, "Program received signal ")) {
        word = view_take(&rest, is_alpha);
        if (word.n && view_starts(rest, ",")) {
            char type[32];
            size_t n = 0;
            for (; n < word.n && n < sizeof type - 1; n++)
                type[n] = to_upper(word.s[n]);
            type[n] = 0;
            scan_type(s, CRASH_GDB, type);
        }
        return false;
    }
    if (view_skip(&rest, "rip ")) {
        while (view_skip(&rest, " "))
            ;
        word = view_take(&rest, is_hex);
        if (word.n)
            scan_address(s, "", word);
        return false;
    }
    if (view_starts(line, "0x") || view_starts(line, "0X")) {
        word = view_take(&rest, is_hex);
        if (word.n > 2 && view_skip_space(&rest) && view_skip(&rest, "in") && view_skip_space(&rest))
            scan_address(s, "", word);
        return false;
    }
    if (view_starts(line, "Reason:") && view_after_last(line, "at address", &rest)) { /* macOS */
        while (rest.n && !is_digit(rest.s[0]))
            rest = view_from(rest, 1);
        word = rest;
        for (word.n = 0; word.n < rest.n && (is_digit(rest.s[word.n]) || is_alpha(rest.s[word.n]));)
            word.n++;
        if (word.n)
            scan_address(s, "", word);
        return false;
    }
    if (view_skip(&rest, "Attempt to ")) { /* cdb: "Attempt to read from address 00000004" */
        ssize_t i = view_rfind(rest, " address ");
        ssize_t verb = i > 0 ? view_rfind_char(view_first(rest, (size_t)i), ' ') : -1;
        if (verb < 0)
            return false;
        char type[32];
        size_t n = 0;
        for (; n < (size_t)verb && n < sizeof type - 1; n++)
            type[n] = to_upper(rest.s[n]);
        type[n] = 0;
        scan_type(s, CRASH_CDB, type);
        scan_address(s, "0x", view_from(rest, (size_t)i + strlen(" address ")));
    }
    return false;
}

bool rule_cdb_stack(struct scan *s, struct view line)
{
    if (view_starts(line, "ChildEBP RetAddr"))
        scan_clear_state(s);
    return false;
}

/* "STATUS_INTEGER_OVERFLOW_AVRF" is "Integer-overflow": in a sanitizer's words, without the verifier's mark. */
bool rule_cdb(struct scan *s, struct view line)
{
    struct view rest;
    if (view_after(line, "ExceptionCode: ", &rest) && view_has(rest, "(Stack overflow)"))
        scan_type(s, CRASH_CDB, "Stack-overflow");
    if (!view_after_last(line, "DEFAULT_BUCKET_ID", &rest))
        return false;
    while (view_skip(&rest, " "))
        ;
    if (!view_skip(&rest, ":"))
        return false;
    while (view_skip(&rest, " "))
        ;
    struct view name = view_take(&rest, is_word);
    if (!name.n)
        return false;
    if (view_ends(name, "_AVRF"))
        name.n -= strlen("_AVRF");
    char type[128];
    size_t n = 0;
    for (; n < name.n && n < sizeof type - 1; n++)
        type[n] = name.s[n] == '_' ? '-' : n ? to_lower(name.s[n]) : to_upper(name.s[n]);
    type[n] = 0;
    if (strcmp(type, "Status-integer-overflow") == 0)
        snprintf(type, sizeof type, "Integer-overflow");
    if (strcmp(type, "Status-integer-divide-by-zero") == 0)
        snprintf(type, sizeof type, "Divide-by-zero");
    scan_type(s, CRASH_CDB, type);
    return false;
}

/* --- Android ---------------------------------------------------------------------------------------------------- */

/* "signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x1 in tid 2 (name)" */
static bool signal_line(struct view line, const char *name, struct view *ret_address, struct view *ret_rest)
{
    struct view rest;
    if (!view_after(line, "signal", &rest) || !view_after(rest, name, &rest) ||
        !view_after_last(rest, "fault addr ", &rest))
        return false;
    *ret_address = view_take(&rest, is_not_space);
    *ret_rest = rest;
    return true;
}

static void read_process(struct scan *s, struct view rest)
{
    ssize_t open = view_rfind_char(rest, '(');
    if (open < 0 || !view_ends(rest, ")"))
        return;
    struct view name = view_from(view_first(rest, rest.n - 1), (size_t)open + 1);
    size_t n = 0;
    for (; n < name.n && n < sizeof s->process - 1; n++)
        s->process[n] = n ? to_lower(name.s[n]) : to_upper(name.s[n]);
    s->process[n] = 0;
}

static void read_signal(struct scan *s, struct view line)
{
    struct view address, rest;
    if (!signal_line(line, "(SIG", &address, &rest))
        return;
    /* The line that the process prints after its own report would make that forgotten. */
    if (scan_type_starts(s, "UNKNOWN") && view_has(line, "Fatal signal"))
        return;
    scan_restart(s);
    scan_type(s, CRASH_SIGNAL, "UNKNOWN");
    s->java_exception = false;
    if (view_has(line, "SEGV_MTESERR")) {
        rest = view_first(rest, 128);
        snprintf(s->type, sizeof s->type, "Tag-mismatch%.*s", (int)rest.n, rest.s);
        s->kind = CRASH_SIGNAL;
    }
    if (view_has(line, "SIGSEGV"))
        scan_address(s, view_starts(address, "0x") ? "" : "0x", address);
    read_process(s, rest);
}

bool rule_android(struct scan *s, struct view line)
{
    struct view address, rest = line;
    if (view_has(line, "fault addr ")) {
        read_signal(s, line);
        if (!scan_explains_signal(s) && signal_line(line, "(SIGTRAP", &address, &rest)) {
            scan_type(s, CRASH_SIGNAL, "Trap");
            scan_address(s, "", address);
        }
        if (!scan_explains_signal(s) && signal_line(line, "(SIGABRT", &address, &rest) && view_starts(address, "--------")) {
            scan_type(s, CRASH_SIGNAL, "Abort");
            s->address[0] = 0;
        }
    }
    rest = line;
    if (!view_skip(&rest, "Abort message: "))
        return false;
    scan_type(s, CRASH_CHECK, "CHECK failure");
    s->address[0] = 0;
    s->java_exception = true;
    /* "[FATAL:file.cc(12)] Check failed: x" or any sentence */
    ssize_t space = view_find_char(rest, ' ');
    struct view file = view_first(rest, space < 0 ? 0 : (size_t)space);
    struct view message = scan_clean_check(space < 0 ? rest : view_from(rest, (size_t)space + 1));
    scan_empty(s, &s->state);
    strbuf_append(&s->state, message.s, message.n);
    if (space >= 0) {
        ssize_t mark = view_find(file, "FATAL:");
        if (mark >= 0)
            file = view_from(file, (size_t)mark + strlen("FATAL:"));
        file = scan_clean_file(file);
        strbuf_printf(&s->state, " in %.*s", (int)file.n, file.s);
    }
    strbuf_putc(&s->state, '\n');
    s->state_frames = 1;
    return false;
}

/* "pc 0000000000012250  /x/libbox.so (offset 0x1000) (box_put(int)+32) (BuildId: 01ab)", after the number. */
static void tombstone_frame(struct scan *s, int number, struct view rest)
{
    char text[CRASH_TEXT_MAX];
    struct view name = {"", 0}, address, module;
    if (!view_skip(&rest, " pc ") || !(address = view_take(&rest, is_hex)).n)
        return;
    rest = view_trim(rest);
    ssize_t at = view_find(rest, " (BuildId: ");
    rest = view_first(rest, at < 0 ? rest.n : (size_t)at);
    at = view_find(rest, " (");
    module = view_first(view_first(rest, at < 0 ? rest.n : (size_t)at), 1500);
    view_after_last(module, "!", &module); /* in an archive */
    if (view_after(rest, " (", &name) && view_starts(name, "offset ") && !view_after(name, ") (", &name))
        name.n = 0;
    at = view_rfind_char(name, '+');
    name = view_first(view_first(name, at < 0 ? 0 : (size_t)at), 1500);
    address = view_first(address, 20);
    int n = snprintf(text, sizeof text, "#%d 0x%.*s%s%.*s (%.*s+0x%.*s)", number, (int)address.n, address.s,
                     name.n ? " in " : "", (int)name.n, name.s, (int)module.n, module.s, (int)address.n, address.s);
    rule_frame(s, (struct view){text, (size_t)n});
}

void scan_tombstone_stack(struct scan *s)
{
    struct view text = s->text, number;
    int frames = 0;
    if (s->frames.len || s->state.len || (s->kind != CRASH_SIGNAL && s->kind != CRASH_CHECK) ||
        !view_after(text, "backtrace:", &text))
        return;
    for (int i = 0; i < CRASH_FRAMES_MAX && text.n; i++) {
        ssize_t end = view_find_char(text, '\n'), at;
        struct view line = view_first(view_first(text, end < 0 ? text.n : (size_t)end), CRASH_TEXT_MAX), rest;
        text = view_from(text, end < 0 ? text.n : (size_t)end + 1);
        at = view_find(line, "#");
        rest = view_from(line, at < 0 ? line.n : (size_t)at + 1);
        if ((number = view_take(&rest, is_digit)).n && view_int(number) == frames)
            tombstone_frame(s, frames++, rest);
        else if (frames)
            break;
    }
    s->stack_closed = frames > 0;
}

/* Trusty, the secure world's system, names no reason: only that an application of it crashed. */
bool rule_trusty(struct scan *s, struct view line)
{
    (void)line;
    if (s->trusty) {
        snprintf(s->type, sizeof s->type, "Trusted app crash");
        s->kind = CRASH_SIGNAL;
    }
    return false;
}

/* --- kernels ------------------------------------------------------------------------------------------------------ */

/* ARM's fault status register: bit 11 is the direction, bits 0 to 3 the kind of fault. */
static void read_fault_status(struct scan *s, struct view code)
{
    static const char *const faults[16] = {
        [1] = "Alignment Fault", [3] = "Access Flag Fault, Section", [4] = "Instruction Cache Maintenance Fault",
        [5] = "Translation Fault, Section", [6] = "Access Flag Fault, Page", [7] = "Translation Fault, Page",
        [9] = "Domain Fault, Section", [11] = "Domain Fault, Page", [12] = "L1 Translation", [13] = "Permission Fault, Section",
        [14] = "L2 Translation", [15] = "Permissions Fault, Page",
    };
    unsigned long long status = view_hex(code);
    scan_typef(s, CRASH_KERNEL, "Kernel failure\n%s %s (%llu)", status & 0x800 ? "WRITE" : "READ",
               faults[status & 15] ? faults[status & 15] : "Unknown", status);
}

static void kernel_type(struct scan *s, struct view name, bool capitalise)
{
    char type[256];
    size_t n = 0;
    name = view_trim(name);
    for (; n < name.n && n < sizeof type - 1; n++)
        type[n] = name.s[n] == ' ' ? '-' : !capitalise ? name.s[n] : n ? to_lower(name.s[n]) : to_upper(name.s[n]);
    type[n] = 0;
    scan_typef(s, CRASH_KERNEL, "Kernel failure\n%s", type);
}

bool rule_kernel(struct scan *s, struct view line)
{
    struct view rest = line;
    if (!s->kasan && view_after_last(line, "Internal error: ", &rest)) {
        view_skip(&rest, "Oops");
        if (view_skip(&rest, " - ") || view_skip(&rest, ": ")) {
            struct view code = rest;
            code.n = view_starts(rest, "BUG") ? 3 : view_take(&rest, is_hex).n;
            scan_restart(s);
            if (view_is(code, "BUG"))
                scan_type(s, CRASH_KERNEL, "BUG");
            else if (code.n)
                read_fault_status(s, code);
        }
    }
    rest = line;
    if (!s->kasan && view_skip(&rest, "Kernel panic - not syncing: ")) {
        scan_restart(s);
        kernel_type(s, rest, false);
    }
    rest = line;
    if (view_skip(&rest, "kernel BUG at "))
        kernel_type(s, rest, true);
    return false;
}

/* The last " in" or " on" before end, as in "use-after-free in f+0x1/0x2", "stack-out-of-bounds on address 1". */
static ssize_t last_place_word(struct view v)
{
    ssize_t in = view_rfind(v, " in"), on = view_rfind(v, " on");
    return in > on ? in : on;
}

/* "BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 at addr ffff8800" */
static void read_kasan_bug(struct scan *s, struct view bug)
{
    static const char *const marks[] = {"addr ", "address "};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        struct view rest;
        ssize_t at = view_rfind(bug, marks[i]), word = at > 0 ? last_place_word(view_first(bug, (size_t)at)) : -1;
        if (word < 0)
            continue;
        rest = view_from(bug, (size_t)at + strlen(marks[i]));
        struct view address = view_take(&rest, is_hex);
        if (!address.n)
            continue;
        kernel_type(s, view_first(bug, (size_t)word), true);
        scan_address(s, view_starts(address, "0x") ? "" : "0x", address);
        return;
    }
    ssize_t plus = view_rfind_char(bug, '+'), space = plus > 0 ? view_rfind_char(view_first(bug, (size_t)plus), ' ') : -1;
    ssize_t word = space > 0 ? last_place_word(view_first(bug, (size_t)space)) : -1;
    if (word > 0 && view_find_char(view_from(bug, (size_t)plus), '/') > 0)
        kernel_type(s, view_first(bug, (size_t)word), true);
}

/* "KASAN: null-ptr-deref in range [0x0000000000000010-0x0000000000000017]" */
static void read_kasan_range(struct scan *s, struct view line)
{
    struct view rest = line;
    if (!view_skip(&rest, "KASAN: "))
        return;
    ssize_t at = view_find(rest, " in range [");
    if (at < 0)
        at = view_find(rest, " on range [");
    if (at < 0)
        return;
    struct view range = view_from(rest, (size_t)at + strlen(" in range ["));
    kernel_type(s, view_first(rest, (size_t)at), true);
    scan_address(s, "", view_take(&range, is_word));
}

bool rule_kasan(struct scan *s, struct view line)
{
    struct view rest = line, size;
    if (view_skip(&rest, "BUG: KASAN: "))
        read_kasan_bug(s, rest);
    read_kasan_range(s, line);
    if (view_starts(line, "general protection fault:") && view_has(line, "KASAN"))
        scan_type(s, CRASH_KERNEL, "Kernel failure\nGeneral-protection-fault");
    rest = line;
    const char *access = view_skip(&rest, "Read") ? "READ" : view_skip(&rest, "Write") ? "WRITE" : NULL;
    if (!access || !scan_type_starts(s, "Kernel failure") || !view_skip(&rest, " of size "))
        return false;
    size = view_take(&rest, is_digit);
    if (!size.n)
        return false;
    scan_add_to_type(s, "\n%s %.*s", access, (int)(size.n < 20 ? size.n : 20), size.s);
    if (!s->address[0] && (view_skip(&rest, " at addr ") || view_skip(&rest, " at address "))) {
        struct view address = view_take(&rest, is_hex);
        if (address.n)
            scan_address(s, "0x", address);
    }
    return false;
}

/* What reports a fault of the kernel, and does not have it. */
static bool reports_fault(struct view name)
{
    static const char *const names[] = {
        "dump_stack", "show_stack", "print_", "kasan_", "__kasan", "__asan_", "check_memory_region", "kmsan_", "__msan_",
        "kfence_", "kcsan_", "panic", "__warn", "asm_exc_", "exc_page_fault",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (view_starts(name, names[i]))
            return true;
    return false;
}

/* " box_ioctl+0x1a/0x80 drivers/box.c:12 [box]": kernels that print no addresses. One with a "?" was only found on the stack. */
static bool add_kernel_frame(struct scan *s, struct view line)
{
    char text[CRASH_TEXT_MAX];
    struct view rest = line, name, file;
    view_skip_space(&rest);
    if (!kernel_function(rest, &name) || name.n > 1000)
        return false;
    if (reports_fault(name))
        return true;
    view_take(&rest, is_not_space);
    view_skip_space(&rest);
    file = view_take(&rest, is_not_space);
    if (view_starts(file, "[") || view_find_char(file, ':') < 0 || file.n > 1000)
        file.n = 0;
    int n = snprintf(text, sizeof text, "#%zu 0x0 in %.*s %.*s", s->frames.len, (int)name.n, name.s, (int)file.n, file.s);
    return rule_frame(s, (struct view){text, (size_t)n});
}

void scan_kernel_stack(struct scan *s)
{
    struct view text = s->text, rest;
    bool trace = false;
    if (s->kind != CRASH_KERNEL || s->frames.len)
        return;
    while (text.n) {
        ssize_t end = view_find_char(text, '\n');
        struct view line = view_trim(view_first(text, end < 0 ? text.n : (size_t)end));
        text = view_from(text, end < 0 ? text.n : (size_t)end + 1);
        if (!trace && !s->frames.len && view_skip(&line, "RIP: ")) {
            if (view_after(line, ":", &rest))
                add_kernel_frame(s, rest);
        } else if (view_is(line, "Call Trace:")) {
            trace = true;
        } else if (trace && !view_starts(line, "?") && !view_starts(line, "<") && !add_kernel_frame(s, line)) {
            break; /* "Allocated by task 7:", registers, an empty line */
        }
    }
    s->stack_closed = true;
}
