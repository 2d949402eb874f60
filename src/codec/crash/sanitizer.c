/* What the sanitizers of LLVM and GCC print: compiler-rt's lib/asan, hwasan, msan, tsan, lsan, ubsan and their handlers of
 * signals. Also GWP-ASan and Android's way to tell of signals is read elsewhere (platform.c). */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

/* "Use_after_FREE" is "Use-after-free": first letter large, hyphens. */
void scan_sanitizer_type(struct scan *s, enum crash_kind kind, struct view name)
{
    char type[SCAN_TYPE_MAX];
    size_t n = 0;
    static const char divide[] = "Int-divide-by-zero";
    name = view_trim(name);
    for (size_t i = 0; i < name.n && n < sizeof type - 1; i++) {
        char c = name.s[i] == '_' ? '-' : name.s[i];
        type[n++] = i == 0 ? to_upper(c) : to_lower(c);
    }
    type[n] = 0;
    scan_type(s, kind, strncmp(type, divide, sizeof divide - 1) == 0 ? "Divide-by-zero" : type);
}

static enum crash_kind kind_of(struct view line)
{
    static const struct {
        const char *name;
        enum crash_kind kind;
    } tools[] = {
        {"HWAddressSanitizer", CRASH_HWASAN}, {"AddressSanitizer", CRASH_ASAN}, {"MemorySanitizer", CRASH_MSAN},
        {"ThreadSanitizer", CRASH_TSAN}, {"LeakSanitizer", CRASH_LSAN}, {"UndefinedBehaviorSanitizer", CRASH_UBSAN},
    };
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (view_has(line, tools[i].name))
            return tools[i].kind;
    return CRASH_ASAN;
}

/* "ERROR: NAMESanitizer" at its last place: *ret_rest is what follows the name. */
static bool sanitizer_error(struct view line, struct view *ret_rest)
{
    while (line.n) {
        ssize_t i = view_rfind(line, "ERROR: ");
        if (i < 0)
            return false;
        struct view rest = view_from(line, (size_t)i + 7);
        struct view name = view_take(&rest, is_alpha);
        if (view_ends(name, "Sanitizer") && name.n > 9) {
            *ret_rest = rest;
            return true;
        }
        line = view_first(line, (size_t)i);
    }
    return false;
}

/* A sanitizer's name and what it says follow each other in this line: "...Sanitizer: ABRT ". */
static bool sanitizer_says(struct view line, const char *text)
{
    char what[64];
    snprintf(what, sizeof what, "Sanitizer: %s", text);
    ssize_t i = view_find(line, what);
    return i > 0 && is_alpha(line.s[i - 1]);
}

bool rule_sanitizer_noise(struct scan *s, struct view line)
{
    static const char *const names[] = {"Address", "Leak", "Memory", "UndefinedBehavior", "Thread"};
    static const char *const signals[] = {"ABRT ", "breakpoint ", "ILL ", "TRAP "};
    struct view rest = line;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (view_skip(&rest, names[i]) && view_starts(rest, "Sanitizer:DEADLYSIGNAL"))
            return true;
    if (!scan_explains_signal(s) || !view_has(line, "Sanitizer: "))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (sanitizer_says(line, signals[i]))
            return true;
    return false;
}

/* --- MemorySanitizer, ThreadSanitizer, LeakSanitizer -------------------------------------------------------- */

bool rule_msan_tsan(struct scan *s, struct view line)
{
    struct view rest;
    if (!view_after_last(line, "ThreadSanitizer:", &rest) && !view_after_last(line, "MemorySanitizer:", &rest))
        return false;
    if (!view_skip_space(&rest) || view_has(line, " suppressions") || view_has(line, " warnings") ||
        view_starts(rest, "ABRT") || view_starts(rest, "ILL") ||
        (scan_found(s) && view_starts(rest, "nested bug in the same thread"))) /* of the report itself */
        return false;
    struct view name = rest;
    for (name.n = 0; name.n < rest.n && rest.s[name.n] != '(' && rest.s[name.n] != ':';)
        name.n++;
    if (!name.n)
        return false;
    scan_restart(s);
    char type[SCAN_TYPE_MAX];
    name = view_trim(name);
    size_t n = 0;
    for (; n < name.n && n < sizeof type - 1; n++)
        type[n] = n ? to_lower(name.s[n]) : to_upper(name.s[n]);
    type[n] = 0;
    scan_type(s, kind_of(line), type);
    return false;
}

/* A direct leak is the one to look at; the leaks behind it are its followers. */
bool rule_lsan(struct scan *s, struct view line)
{
    bool indirect = scan_is(s, "Indirect-leak");
    if ((!scan_found(s) || indirect) && view_starts(line, "Direct leak of ")) {
        scan_restart(s);
        scan_type(s, CRASH_LSAN, "Direct-leak");
    } else if (!scan_found(s) && view_starts(line, "Indirect leak of ")) {
        scan_restart(s);
        scan_type(s, CRASH_LSAN, "Indirect-leak");
    }
    return false;
}

/* --- UndefinedBehaviorSanitizer ------------------------------------------------------------------------------ */

static bool runtime_error(struct view line, struct view *ret_reason)
{
    return view_after_last(line, ": runtime error: ", ret_reason);
}

/* The cast is the state's first line; its end comes in later lines. */
static void begin_cast(struct scan *s, enum crash_kind kind, struct view to)
{
    scan_type(s, kind, "Bad-cast");
    scan_clear_state(s);
    to = view_first(view_trim_set(to, "'"), 1024);
    strbuf_printf(&s->state, "Bad-cast to %.*s", (int)to.n, to.s);
    s->cast_closed = false;
}

static void end_cast(struct scan *s, struct view line)
{
    struct view rest, object = line;
    if (view_after_last(line, "note: object is of type ", &rest) || view_after_last(line, "note: vtable is of type ", &rest)) {
        rest = view_first(view_trim_set(rest, "'"), 1024);
        strbuf_printf(&s->state, " from %.*s", (int)rest.n, rest.s);
        s->cast_closed = true;
    }
    if (view_has(line, "note: object has invalid vptr") || view_ends(line, "note: invalid vtable")) {
        strbuf_puts(&s->state, " from invalid vptr");
        s->cast_closed = true;
    }
    if (view_has(line, "note: ") && view_ends(line, " defined here"))
        s->cast_closed = true;
    if (view_after_last(line, "at offset ", &rest)) {
        object = view_take(&rest, is_digit);
        if (object.n && view_starts(rest, " within object of type ")) {
            strbuf_printf(&s->state, " from base class subobject at offset %.*s", (int)(object.n < 20 ? object.n : 20),
                          object.s);
            s->cast_closed = true;
        }
    }
    if (s->cast_closed) {
        strbuf_putc(&s->state, '\n');
        s->state_frames++;
    }
}

bool rule_bad_cast(struct scan *s, struct view line)
{
    static const char *const uses[] = {"member access within address ", "member call on address ", "downcast of address "};
    struct view reason;
    if (!scan_found(s) && runtime_error(line, &reason))
        for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
            struct view rest = reason, type;
            if (!view_skip(&rest, uses[i]))
                continue;
            struct view address = view_take(&rest, is_hex);
            if (!address.n || !view_starts(rest, " ") || !view_after_last(rest, " of type ", &type))
                continue;
            begin_cast(s, CRASH_UBSAN, type);
            scan_address(s, "", address);
        }
    if (!s->cast_closed && scan_is(s, "Bad-cast"))
        end_cast(s, line);
    return false;
}

bool rule_cfi(struct scan *s, struct view line)
{
    struct view reason;
    if (scan_found(s))
        return false;
    if (runtime_error(line, &reason) && view_skip(&reason, "control flow integrity check for type ")) {
        ssize_t end = view_rfind(reason, " failed during ");
        struct view how = view_from(reason, end > 0 ? (size_t)end : reason.n), address;
        if (end <= 0)
            return false;
        begin_cast(s, CRASH_CFI, view_first(reason, (size_t)end));
        if (view_after_last(how, "vtable address ", &address))
            scan_address(s, "", view_take(&address, is_hex));
    } else if (view_starts(line, "CFI: Most likely a control flow integrity violation;")) {
        scan_type(s, CRASH_CFI, "Bad-cast");
        s->state_frames = 0;
    }
    return false;
}

/* What ubsan's messages (ubsan_handlers.cpp) are about. The parts stand in this order in the reason. Sorted so that
 * what includes another comes after it. */
static const struct {
    const char *type, *parts[3];
} ubsan_checks[] = {
    {"Divide-by-zero", {"division by zero"}},
    {"Float-cast-overflow", {"outside the range of representable values"}},
    {"Implicit-conversion", {"implicit conversion from type"}},
    {"Incorrect-function-pointer-type", {"call to function ", " through pointer to incorrect function type"}},
    {"Index-out-of-bounds", {"out of bounds for type"}},
    {"Invalid-bool-value", {"not a valid value for type 'bool'"}},
    {"Invalid-bool-value", {"not a valid value for type 'BOOL'"}},
    {"Invalid-builtin-use", {", which is not a valid argument"}},
    {"Misaligned-address", {"misaligned address"}},
    {"No-return-value", {"reached the end of a value-returning function"}},
    {"Invalid-null-argument", {"null pointer passed as ", ", which is declared to never be null"}},
    {"Null-dereference READ", {"load of null pointer"}},
    {"Null-dereference", {"binding to null pointer"}},
    {"Null-dereference", {"access within null pointer"}},
    {"Null-dereference", {"call on null pointer"}},
    {"Null-dereference WRITE", {"store to null pointer"}},
    {"Object-size", {"address ", " with insufficient space for an object of type"}},
    {"Pointer-overflow", {"addition of unsigned offset "}},
    {"Pointer-overflow", {"subtraction of unsigned offset "}},
    {"Pointer-overflow", {"pointer index expression with base "}},
    {"Pointer-overflow", {"applying ", "zero offset ", "to null pointer"}},
    {"Invalid-null-return", {"null pointer returned from function declared to never return null"}},
    {"Undefined-shift", {"shift"}},
    {"Unreachable code", {"execution reached an unreachable program point"}},
    {"Unsigned-integer-overflow", {"unsigned integer overflow"}},
    {"Upcast-of-null-pointer", {"upcast of null pointer of type"}},
    {"Non-positive-vla-bound-value", {"variable length array bound evaluates to non-positive value"}},
    {"Invalid-enum-value", {"not a valid value for type"}},
    {"Integer-overflow", {"integer overflow"}},
    {"Integer-overflow", {"negation of", "cannot be represented in type"}},
    {"Integer-overflow", {"division of", "cannot be represented in type"}},
    {"Assumption-violation", {"assumption is violated during execution"}},
};

static bool has_parts(struct view text, const char *const parts[3])
{
    for (size_t i = 0; i < 3 && parts[i]; i++)
        if (!view_after(text, parts[i], &text))
            return false;
    return true;
}

bool rule_ubsan(struct scan *s, struct view line)
{
    struct view reason;
    if (scan_found(s) || !runtime_error(line, &reason))
        return false;
    scan_restart(s);
    scan_type(s, CRASH_UBSAN, "UNKNOWN");
    for (size_t i = 0; i < ARRAY_LEN(ubsan_checks); i++)
        if (has_parts(reason, ubsan_checks[i].parts)) {
            scan_type(s, CRASH_UBSAN, ubsan_checks[i].type);
            break;
        }
    return false;
}

/* --- AddressSanitizer, and what all have in common ------------------------------------------------------------ */

bool rule_overlap(struct scan *s, struct view line)
{
    struct view rest;
    if (!view_after(line, "AddressSanitizer", &rest) || !view_after_last(rest, "memcpy-param-overlap", &rest))
        return false;
    ssize_t open = view_find_char(rest, '['), close = view_rfind_char(rest, ')');
    if (open < 0 || close < open)
        return false;
    scan_restart(s);
    scan_type(s, CRASH_ASAN, "Memcpy-param-overlap");
    scan_address(s, "", view_first(view_from(rest, (size_t)open), (size_t)(close - open + 1)));
    return false;
}

bool is_assert_address(unsigned long long a)
{
    return a == 0xbbadbeef || a == 0xfbadbeef || a == 0x1f75b7dd || a == 0x977537dd || a == 0x9f7537dd;
}

bool rule_segv(struct scan *s, struct view line)
{
    struct view rest;
    ssize_t tool = view_find(line, "Sanitizer");
    if (tool <= 0 || !is_alpha(line.s[tool - 1]) || !view_after_last(line, " on unknown address ", &rest))
        return false;
    struct view before = view_first(line, (size_t)(rest.s - line.s) - strlen(" on unknown address "));
    struct view address = view_take(&rest, is_hex);
    if (!address.n || !(view_ends(before, "SEGV") || view_ends(before, "access-violation")))
        return false;
    if (strstr(s->type, "ASSERT") && (is_assert_address(view_hex(address)) || s->signal))
        return true;
    scan_restart(s);
    scan_type(s, kind_of(line), "UNKNOWN");
    scan_address(s, "", address);
    return true;
}

bool rule_bad_free(struct scan *s, struct view line)
{
    struct view rest;
    if (!view_after_last(line, "AddressSanitizer: attempting free on address which was not malloc()-ed: ", &rest))
        return false;
    struct view address = view_take(&rest, is_hex);
    if (!address.n)
        return false;
    scan_restart(s);
    scan_type(s, kind_of(line), "Invalid-free");
    scan_address(s, "", address);
    return true;
}

/* The address at the beginning: "unknown address 0x1", "address 0x1", "0x1". */
static struct view address_at(struct view rest)
{
    struct view named = rest;
    if (view_skip(&named, "unknown address ") || view_skip(&named, "address ")) {
        struct view a = view_take(&named, is_hex);
        if (a.n)
            return a;
    }
    return view_take(&rest, is_hex);
}

bool rule_double_free(struct scan *s, struct view line)
{
    struct view rest;
    if (!view_after(line, "AddressSanitizer", &rest) || !view_after_last(rest, "double-free on ", &rest))
        return false;
    struct view address = address_at(rest);
    if (!address.n)
        return false;
    scan_restart(s);
    scan_type(s, kind_of(line), "Heap-double-free");
    scan_address(s, "", address);
    return true;
}

bool rule_fpe(struct scan *s, struct view line)
{
    if (!sanitizer_says(line, "FPE "))
        return false;
    scan_restart(s);
    scan_type(s, kind_of(line), "Floating-point-exception");
    return true;
}

static void read_segv_cause(struct scan *s, struct view line)
{
    struct view rest;
    if (!scan_is(s, "UNKNOWN") || !view_after_last(line, "The signal is caused by a ", &rest))
        return;
    struct view access = rest;
    for (access.n = 0; access.n < rest.n && rest.s[access.n] >= 'A' && rest.s[access.n] <= 'Z';)
        access.n++;
    if (access.n && view_starts(view_from(rest, access.n), " memory access") && !view_is(access, "UNKNOWN"))
        scan_add_to_type(s, " %.*s", (int)(access.n < 32 ? access.n : 32), access.s);
}

/* "ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc ...": the name is all before the last " on ". */
bool rule_san_address(struct scan *s, struct view line)
{
    struct view rest;
    if (!scan_type_starts(s, "Kernel failure") && !s->go_crash && !s->script_crash && sanitizer_error(line, &rest)) {
        while (view_skip(&rest, ":") || view_skip(&rest, " "))
            ;
        for (ssize_t i = view_rfind(rest, " on "); i >= 0; i = view_rfind(view_first(rest, (size_t)i), " on ")) {
            struct view address = address_at(view_from(rest, (size_t)i + 4));
            if (!address.n)
                continue;
            scan_restart(s);
            scan_sanitizer_type(s, kind_of(line), view_first(rest, (size_t)i));
            scan_address(s, "", address);
            break;
        }
    }
    if (sanitizer_says(line, "illegal-instruction"))
        scan_type(s, kind_of(line), "Ill"); /* as it is called on Windows */
    if (scan_is(s, "Unknown-crash"))
        scan_type(s, s->kind, "UNKNOWN");
    read_segv_cause(s, line);
    return false;
}

/* "READ of size 4 at 0x602000000014 thread T0", "Atomic write of size 8 at ...". */
bool rule_san_access(struct scan *s, struct view line)
{
    struct view access = line, rest;
    if (s->kasan)
        return false;
    while (view_skip(&access, " "))
        ;
    rest = access;
    bool atomic = view_skip(&rest, "Atomic ");
    size_t word = view_take(&rest, is_not_space).n;
    if (!view_starts(rest, " of size ") && atomic) {
        rest = access;
        word = view_take(&rest, is_not_space).n;
        atomic = false;
    }
    if (!view_skip(&rest, " of size "))
        return false;
    access = view_first(access, word + (atomic ? strlen("Atomic ") : 0));
    struct view size = view_take(&rest, is_not_space);
    if (!view_skip(&rest, " at "))
        return false;
    scan_address(s, "", view_take(&rest, is_not_space));
    /* the line that names the fault is missing: of any other tool's "buffer of size 4 at 12" nothing is to be made */
    if (!scan_found(s) && (view_starts_nocase(access, "read") || view_starts_nocase(access, "write")))
        scan_type(s, CRASH_ASAN, "UNKNOWN");
    else if (!scan_found(s) || scan_type_starts(s, "UNKNOWN"))
        return false;
    size_t at = strlen(s->type);
    scan_add_to_type(s, "\n%.*s %.*s", (int)(access.n < 64 ? access.n : 64), access.s, (int)(size.n < 32 ? size.n : 32), size.s);
    for (size_t i = at; i <= at + access.n && s->type[i]; i++)
        s->type[i] = to_upper(s->type[i]);
    return false;
}

/* The sanitizer itself has failed: nothing after it counts. */
bool rule_san_check(struct scan *s, struct view line)
{
    struct view rest;
    if (!view_after_last(line, "Sanitizer CHECK failed:", &rest))
        return false;
    view_skip_space(&rest);
    view_take(&rest, is_not_space);
    view_skip_space(&rest);
    scan_type(s, kind_of(line), "Sanitizer CHECK failure");
    s->address[0] = 0;
    scan_set_state(s, rest);
    s->state_frames = CRASH_STATE_FRAMES;
    s->dead = true;
    return true;
}

/* Sanitizers for other languages' faults, and Python's own. */
bool rule_extra_sanitizers(struct scan *s, struct view line)
{
    struct view rest = line;
    if (!view_skip(&rest, "===BUG DETECTED: "))
        return false;
    if (view_starts(rest, "Shell corruption===") || view_starts(rest, "Shell injection==="))
        scan_type(s, CRASH_OTHER, "Command injection");
    else if (view_starts(rest, "Arbitrary file open==="))
        scan_type(s, CRASH_OTHER, "Arbitrary file open");
    else if (view_starts(rest, "Arbitrary domain name resolution==="))
        scan_type(s, CRASH_OTHER, "Arbitrary DNS resolution");
    else if (view_starts(rest, "PySecSan:"))
        scan_type(s, CRASH_PYTHON, "PySecSan");
    return false;
}

/* A report that gives no address: the name is all before a bracket or colon. */
bool rule_asan(struct scan *s, struct view line)
{
    struct view rest, name;
    if (!view_after_last(line, "ERROR: HWAddressSanitizer", &rest) && !view_after_last(line, "ERROR: AddressSanitizer", &rest))
        return false;
    while (view_skip(&rest, ":") || view_skip(&rest, " "))
        ;
    name = rest;
    for (name.n = 0; name.n < rest.n && !strchr("(:;", rest.s[name.n]);)
        name.n++;
    if (!name.n)
        return false;
    scan_restart(s);
    scan_sanitizer_type(s, kind_of(line), name);
    if (view_after_last(line, "HWAddressSanitizer: allocation-tail-overwritten; heap object [", &rest)) {
        struct view address = view_take(&rest, is_hex);
        if (view_starts(rest, ",") && view_has(rest, "of size"))
            scan_address(s, "", address);
    }
    return false;
}
