/* How bad a crash is: ClusterFuzz's security flag and severity, CASR's class of exploitability, and one sentence that says
 * why. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

#define MESSAGE_MAX 4096       /* bytes of a message of JNI */
#define NEAR_NULL_CASR 0x10000 /* CASR: what lies below may be a null pointer with an offset */

static bool is_one_of(const char *type, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(type, *list) == 0)
            return true;
    return false;
}

/* --- the security flag ------------------------------------------------------------------------------------------------ */

static const char *const harmless[] = {
    /* limits, exits and signals that say nothing of memory */
    "Stack-overflow", "Fatal-signal", "Missing-library", "Overwrites-const-input", "ASSERT_NOT_REACHED", "Ill",
    "Illegal-instruction", "Floating-point-exception", "RUNTIME_ASSERT", "V8 correctness failure", "Timeout", "Out-of-memory",
    "Unexpected-exit", "Security CHECK failure",
    NULL,
};

/* Undefined or refused, but within bounds: of UBSan and of Go. */
static const char *const within_bounds[] = {
    "Divide-by-zero", "Float-cast-overflow", "Implicit-conversion", "Integer-overflow", "Invalid-bool-value",
    "Invalid-builtin-use", "Invalid-enum-value", "Invalid-null-argument", "Invalid-null-return", "Misaligned-address",
    "No-return-value", "Pointer-overflow", "Potential-null-reference", "Undefined-shift", "Unsigned-integer-overflow",
    "Unreachable code", "Assumption-violation", "Upcast-of-null-pointer", "Index out of range", "Integer divide by zero",
    "Makeslice: len out of range", "Slice bounds out of range", "Stack overflow", "Test failure",
    NULL,
};

static const char *const harmful[] = {
    "Bad-cast", "Index-out-of-bounds", "Incorrect-function-pointer-type", "Non-positive-vla-bound-value", "Object-size",
    "Arbitrary DNS resolution", "Arbitrary file open", "Command injection", "PySecSan", "Wycheproof error",
    NULL,
};

/* These depend on the address: near null they are a null pointer. */
static const char *const by_address[] = {
    "Null-dereference", "Null-dereference READ", "Null-dereference WRITE", "READ", "WRITE", "UNKNOWN", "UNKNOWN READ",
    "UNKNOWN WRITE", "Uncaught exception",
    NULL,
};

static bool is_jump_to_null(struct view text)
{
    return view_has(text, "pc (nil) ") || view_has(text, "pc 0x00000000 ") || view_has(text, "pc 0x000000000000 ");
}

/* Jazzer: the report's own judgement. */
static const char *manual_severity(struct view text)
{
    static const char *const names[] = {"Critical", "High", "Medium", "Low"};
    while (view_after(text, "FuzzerSecurityIssue", &text))
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (view_starts(text, names[i]))
                return names[i];
    return NULL;
}

static bool is_jni_misuse(struct view text)
{
    static const char *const words[] = {"deleted", "invalid", "unexpected", "unknown", "wrong"};
    while (view_after(text, "JNI DETECTED ERROR", &text)) {
        struct view line = view_first(text, MESSAGE_MAX);
        ssize_t end = view_find_char(line, '\n');
        line = view_first(line, end < 0 ? line.n : (size_t)end);
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (view_find(line, words[i]) > 0)
                return true;
    }
    return false;
}

/* The program ended itself by abort(), or by a signal that is no access to memory. */
static bool ended_itself(struct view text)
{
    static const char *const signals[] = {"Sanitizer: ABRT", "Sanitizer: BUS", "Sanitizer: FPE", "Sanitizer: ILL",
                                          "Sanitizer: breakpoint"};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (view_has(text, signals[i]))
            return true;
    for (ssize_t at; (at = view_find(text, " in gsignal ")) >= 0; text = view_from(text, (size_t)at + 1)) {
        struct view head = view_first(text, (size_t)at);
        head = view_from(head, (size_t)(view_rfind_char(head, '\n') + 1));
        if (view_skip_space(&head) && view_skip(&head, "#0") && view_skip_space(&head) && view_skip(&head, "0x"))
            return true;
    }
    return false;
}

/* Chromium's allocator has shown that a use after free cannot be used. */
static bool is_protected(struct view text)
{
    struct view rest;
    if (!view_after(text, "MiraclePtr Status:", &rest))
        return false;
    ssize_t end = view_find_char(rest, '\n');
    rest = view_first(rest, end < 0 ? rest.n : (size_t)end);
    view_after_last(rest, ":", &rest);
    return view_is(view_trim(rest), "PROTECTED");
}

static bool type_ends(const char *type, const char *suffix)
{
    return view_ends(view_of(type), suffix);
}

static bool has_security(struct scan *s, const char *type)
{
    unsigned long long address = view_hex(view_of(s->address));
    if (is_protected(s->text))
        return false;
    if (manual_severity(s->text) || is_jump_to_null(s->text))
        return true;
    if (is_one_of(type, harmless))
        return false;
    if (is_jni_misuse(s->text))
        return true;
    if (strcmp(type, "CHECK failure") == 0)
        return false;
    if (strcmp(type, "DCHECK failure") == 0 || strcmp(type, "Security DCHECK failure") == 0)
        return true;
    if (strcmp(type, "Fatal error") == 0 || type_ends(type, "Exception") || type_ends(type, "CHECK failure") ||
        strstr(type, "-leak") || strstr(type, "Data race") || strstr(type, "Lock-order-inversion"))
        return false;
    if (is_one_of(type, harmful))
        return true;
    if (is_one_of(type, within_bounds))
        return false;
    if (strcmp(type, "ASSERT") == 0 || view_has(s->text, "ASSERTION FAILED") || scan_type_starts(s, "Kernel failure"))
        return true;
    bool aborted = s->fallback && (strcmp(type, "Abrt") == 0 || strcmp(type, "SIGABRT") == 0 || strcmp(type, "Trap") == 0);
    if (!*type || aborted || ended_itself(s->text))
        return false;
    return !is_one_of(type, by_address) || (!is_assert_address(address) && address >= NULL_PAGE);
}

/* --- access and exploitability -------------------------------------------------------------------------------------------- */

static void read_access(struct scan *s)
{
    struct crash *c = s->crash;
    struct view type = view_of(s->type), rest;
    c->access = view_has(type, "WRITE") ? CRASH_WRITE : view_has(type, "READ") ? CRASH_READ : CRASH_ACCESS_UNKNOWN;
    /* the size as it was said, not as the type has it */
    static const char *const verbs[] = {"READ of size ", "WRITE of size ", "Read of size ", "Write of size ", "read of size ",
                                        "write of size ", "ACCESS of size "};
    if (view_after_last(type, c->access == CRASH_WRITE ? "\nWRITE " : "\nREAD ", &rest))
        c->access_size = (uint64_t)view_int(rest); /* of this report, where the text has another one as well */
    for (size_t i = 0; i < ARRAY_LEN(verbs) && !c->access_size; i++)
        if (view_after(s->text, verbs[i], &rest))
            c->access_size = (uint64_t)view_int(rest);
    /* the program counter is the address that could not be accessed: a jump */
    if (s->address[0] && view_after(s->text, "(pc ", &rest) && (view_starts(type, "UNKNOWN") || c->near_null)) {
        struct view pc = view_take(&rest, is_hex);
        if (pc.n && view_hex(pc) == view_hex(view_of(s->address)) && view_has(type, "READ") == (c->access == CRASH_READ))
            c->access = CRASH_EXEC;
    }
    if (view_has(s->text, "Hint: pc points to the zero page"))
        c->access = CRASH_EXEC;
}

/* CASR tells these by read and write. */
static const char *const accessed[] = {
    "Heap-buffer-overflow", "Global-buffer-overflow", "Stack-buffer-overflow", "Dynamic-stack-buffer-overflow",
    "Stack-buffer-underflow", "Stack-use-after-scope", "Stack-use-after-return", "Heap-use-after-free", "Container-overflow",
    NULL,
};

static const struct {
    const char *type, *name;
    enum crash_exploitability class;
} classes[] = {
    {"Heap-double-free", "double-free", CRASH_NOT_EXPLOITABLE},
    {"Invalid-free", "bad-free", CRASH_NOT_EXPLOITABLE},
    {"Alloc-dealloc-mismatch", "alloc-dealloc-mismatch", CRASH_NOT_EXPLOITABLE},
    {"Use-after-poison", "use-after-poison", CRASH_PROBABLY_EXPLOITABLE},
    {"Memcpy-param-overlap", "param-overlap", CRASH_EXPLOITABLE},
    {"Negative-size-param", "negative-size-param", CRASH_PROBABLY_EXPLOITABLE},
    {"Calloc-overflow", "calloc-overflow", CRASH_PROBABLY_EXPLOITABLE},
    {"Use-of-uninitialized-value", "use-of-uninitialized-value", CRASH_NOT_EXPLOITABLE},
    {"Out-of-memory", "out-of-memory", CRASH_NOT_EXPLOITABLE},
    {"Timeout", "timeout", CRASH_NOT_EXPLOITABLE},
    {"Overwrites-const-input", "overwrites-const-input", CRASH_PROBABLY_EXPLOITABLE},
    {"Direct-leak", "memory-leaks", CRASH_NOT_EXPLOITABLE},
    {"Indirect-leak", "memory-leaks", CRASH_NOT_EXPLOITABLE},
    {"Odr-violation", "odr-violation", CRASH_NOT_EXPLOITABLE},
    {"Stack-overflow", "StackOverflow", CRASH_NOT_EXPLOITABLE},
    {"Stack overflow", "StackOverflow", CRASH_NOT_EXPLOITABLE},
    {"Floating-point-exception", "FPE", CRASH_NOT_EXPLOITABLE},
    {"SIGFPE", "FPE", CRASH_NOT_EXPLOITABLE},
    {"Ill", "BadInstruction", CRASH_PROBABLY_EXPLOITABLE},
    {"Illegal-instruction", "BadInstruction", CRASH_PROBABLY_EXPLOITABLE},
    {"SIGILL", "BadInstruction", CRASH_PROBABLY_EXPLOITABLE},
    {"Trap", "TrapSignal", CRASH_NOT_EXPLOITABLE},
    {"SIGTRAP", "TrapSignal", CRASH_NOT_EXPLOITABLE},
    {"Abrt", "AbortSignal", CRASH_NOT_EXPLOITABLE},
    {"Abort", "AbortSignal", CRASH_NOT_EXPLOITABLE},
    {"SIGABRT", "AbortSignal", CRASH_NOT_EXPLOITABLE},
    {"ASSERT", "AbortSignal", CRASH_NOT_EXPLOITABLE},
    {"CHECK failure", "AbortSignal", CRASH_NOT_EXPLOITABLE},
    {"Uncaught exception", "AbortSignal", CRASH_NOT_EXPLOITABLE},
    {"Heap-corruption", "HeapError", CRASH_PROBABLY_EXPLOITABLE},
    {"Fortify-failure", "SafeFunctionCheck", CRASH_NOT_EXPLOITABLE},
    {"SIGSEGV", "AccessViolation", CRASH_NOT_EXPLOITABLE},
};

static void classify_access(struct scan *s)
{
    struct crash *c = s->crash;
    bool near = s->address[0] && view_hex(view_of(s->address)) < NEAR_NULL_CASR;
    switch (c->access) {
    case CRASH_EXEC:
        c->exploit_class = near ? "SegFaultOnPcNearNull" : "SegFaultOnPc";
        c->exploitability = near ? CRASH_PROBABLY_EXPLOITABLE : CRASH_EXPLOITABLE;
        break;
    case CRASH_WRITE:
        c->exploit_class = near ? "DestAvNearNull" : "DestAv";
        c->exploitability = near ? CRASH_PROBABLY_EXPLOITABLE : CRASH_EXPLOITABLE;
        break;
    case CRASH_READ:
        c->exploit_class = near ? "SourceAvNearNull" : "SourceAv";
        c->exploitability = CRASH_NOT_EXPLOITABLE;
        break;
    case CRASH_ACCESS_UNKNOWN:
        c->exploit_class = "AccessViolation";
        c->exploitability = CRASH_NOT_EXPLOITABLE;
    }
}

/* The type without the access that follows it. */
static struct view base_type(const char *type)
{
    struct view v = view_of(type);
    v.n = strcspn(type, "\n");
    return v;
}

static void classify(struct scan *s)
{
    struct crash *c = s->crash;
    struct view base = base_type(s->type);
    c->exploit_class = "Undefined";
    if (scan_type_starts(s, "UNKNOWN") || scan_type_starts(s, "Null-dereference")) {
        if (c->kind != CRASH_UBSAN)
            classify_access(s);
        return;
    }
    if (c->kind == CRASH_GLIBC && view_is(base, "Stack-buffer-overflow")) {
        c->exploit_class = "StackGuard";
        c->exploitability = CRASH_PROBABLY_EXPLOITABLE;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (view_is(base, classes[i].type)) {
            c->exploit_class = classes[i].name;
            c->exploitability = classes[i].class;
            return;
        }
    for (size_t i = 0; accessed[i]; i++) {
        if (!view_is(base, accessed[i]))
            continue;
        static const char *const suffixes[] = {"", "(read)", "(write)", ""};
        char *name = arena_printf(&c->arena, "%.*s%s", (int)base.n, base.s, suffixes[c->access]);
        if (name)
            name[0] = to_lower(name[0]);
        c->exploit_class = name ? name : "Undefined";
        c->exploitability = c->access == CRASH_WRITE  ? CRASH_EXPLOITABLE
                            : c->access == CRASH_READ ? CRASH_NOT_EXPLOITABLE
                                                      : CRASH_PROBABLY_EXPLOITABLE;
    }
}

/* --- severity ------------------------------------------------------------------------------------------------------------- */

/* What the fault is, as part of a sentence; and how severe it is before the access is looked at. The first whose name the
 * type begins with. */
static const struct {
    const char *type;
    enum severity severity;
    const char *what;
} ratings[] = {
    {"Heap-use-after-free", SEVERITY_HIGH, "memory is used after it was freed"},
    {"Heap-double-free", SEVERITY_HIGH, "memory is freed twice"},
    {"Use-after-poison", SEVERITY_HIGH, "memory is used that its owner has closed"},
    {"Bad-cast", SEVERITY_HIGH, "an object is used as one of another type"},
    {"Security DCHECK failure", SEVERITY_HIGH, "a check for security failed"},
    {"Command injection", SEVERITY_HIGH, "input reached a shell"},
    {"Arbitrary file open", SEVERITY_HIGH, "input named the file that is opened"},
    {"PySecSan", SEVERITY_HIGH, "input reached a dangerous call"},
    {"Security exception", SEVERITY_HIGH, "a detector of the fuzzer saw a dangerous call"},
    {"Heap-buffer-overflow", SEVERITY_MEDIUM, "an access outside a heap buffer"},
    {"Stack-buffer-overflow", SEVERITY_MEDIUM, "an access outside a buffer on the stack"},
    {"Stack-buffer-underflow", SEVERITY_MEDIUM, "an access outside a buffer on the stack"},
    {"Dynamic-stack-buffer-overflow", SEVERITY_MEDIUM, "an access outside a buffer on the stack"},
    {"Global-buffer-overflow", SEVERITY_MEDIUM, "an access outside a global buffer"},
    {"Container-overflow", SEVERITY_MEDIUM, "an access outside a container's elements"},
    {"Intra-object-overflow", SEVERITY_MEDIUM, "an access outside a member of an object"},
    {"Stack-use-after-return", SEVERITY_MEDIUM, "a local variable is used after its function returned"},
    {"Stack-use-after-scope", SEVERITY_MEDIUM, "a local variable is used outside its scope"},
    {"Use-of-uninitialized-value", SEVERITY_MEDIUM, "a decision depends on memory that was never written"},
    {"Index-out-of-bounds", SEVERITY_MEDIUM, "an array is indexed outside its bounds"},
    {"Incorrect-function-pointer-type", SEVERITY_MEDIUM, "a function is called as one of another type"},
    {"Non-positive-vla-bound-value", SEVERITY_MEDIUM, "an array's length is not positive"},
    {"Object-size", SEVERITY_MEDIUM, "an access is larger than its object"},
    {"Memcpy-param-overlap", SEVERITY_MEDIUM, "a copy between regions that overlap"},
    {"Negative-size-param", SEVERITY_MEDIUM, "a length is negative"},
    {"Invalid-free", SEVERITY_MEDIUM, "memory is freed that was not allocated"},
    {"Heap-corruption", SEVERITY_MEDIUM, "the allocator found its data overwritten"},
    {"Tag-mismatch", SEVERITY_MEDIUM, "an access with a pointer to other memory"},
    {"Allocation-tail-overwritten", SEVERITY_HIGH, "a write past the end of a heap buffer"},
    {"Fortify-failure", SEVERITY_MEDIUM, "a copy larger than its buffer, which the library stopped"},
    {"Kernel failure\nNull-dereference", SEVERITY_LOW, "a kernel uses a null pointer"},
    {"Kernel failure", SEVERITY_MEDIUM, "a fault in a kernel"},
    {"UNKNOWN", SEVERITY_MEDIUM, "an access to memory that is not there"},
    {"SIGSEGV", SEVERITY_MEDIUM, "an access to memory that is not there"},
    {"V8 sandbox violation", SEVERITY_LOW, "an access from inside V8's sandbox to outside"},
    {"Null-dereference", SEVERITY_LOW, "a null pointer is used"},
    {"Out-of-memory", SEVERITY_LOW, "more memory is asked for than the bound allows"},
    {"Timeout", SEVERITY_LOW, "an input takes longer than the bound allows"},
    {"Stack-overflow", SEVERITY_LOW, "recursion without a bound"},
    {"Stack overflow", SEVERITY_LOW, "recursion without a bound"},
    {"Direct-leak", SEVERITY_LOW, "memory is not freed"},
    {"Indirect-leak", SEVERITY_LOW, "memory is not freed"},
    {"Data race", SEVERITY_LOW, "two threads use memory at once, one of them to write"},
    {"Lock-order-inversion", SEVERITY_LOW, "two threads take locks in different orders"},
    {"Uncaught exception", SEVERITY_LOW, "an exception that nobody catches"},
    {"Fatal Exception", SEVERITY_LOW, "an exception that nobody catches"},
    {"ASSERT", SEVERITY_LOW, "an assertion of the program failed"},
    {"CHECK failure", SEVERITY_LOW, "a check of the program failed"},
    {"DCHECK failure", SEVERITY_LOW, "a check of a debug build failed"},
    {"Invalid memory address", SEVERITY_LOW, "a nil pointer is used"},
    {"Index out of range", SEVERITY_LOW, "an index outside its bounds, which the runtime stopped"},
    {"Slice bounds out of range", SEVERITY_LOW, "a slice outside its bounds, which the runtime stopped"},
    {"Makeslice: len out of range", SEVERITY_LOW, "a length that cannot be, which the runtime stopped"},
    {"Integer divide by zero", SEVERITY_LOW, "a division by zero"},
    {"Divide-by-zero", SEVERITY_LOW, "a division by zero"},
    {"Floating-point-exception", SEVERITY_LOW, "an arithmetic operation without a result"},
    {"Integer-overflow", SEVERITY_LOW, "arithmetic that overflows"},
    {"Undefined-shift", SEVERITY_LOW, "a shift by a count that is undefined"},
    {"Fatal-signal", SEVERITY_LOW, "the program ended by a signal"},
    {"Ill", SEVERITY_LOW, "the program ran what is no instruction, often a trap that a check ends in"},
    {"Trap", SEVERITY_LOW, "the program ended in a trap"},
    {"Abrt", SEVERITY_LOW, "the program aborted"},
    {"SIGABRT", SEVERITY_LOW, "the program aborted"},
    {"Fatal error", SEVERITY_LOW, "the program gave up"},
    {"Test failure", SEVERITY_LOW, "what the test states does not hold"},
    {"Unexpected-exit", SEVERITY_INFO, "the target ended the process"},
    {"Missing-library", SEVERITY_INFO, "the program did not start"},
};

/* Chromium: the stack is of the browser's own process, which a web page must not reach. */
static bool in_browser_process(struct view text)
{
    struct view rest = text;
    if (!view_has(text, "content"))
        return false;
    while (rest.n) {
        ssize_t end = view_find_char(rest, '\n');
        struct view line = view_first(rest, end < 0 ? rest.n : (size_t)end), name;
        rest = view_from(rest, end < 0 ? rest.n : (size_t)end + 1);
        if (view_has(line, "content::ContentMain"))
            continue;
        if (view_has(line, "content/browser") || view_has(line, "content\\browser"))
            return true;
        while (view_after(line, "content::", &line)) {
            name = view_take(&line, is_alpha);
            if (view_ends(name, "Main") && view_starts(line, "("))
                return view_is(name, "BrowserMain");
        }
    }
    return false;
}

static enum severity rate(struct scan *s, const char **ret_what)
{
    struct crash *c = s->crash;
    enum severity severity = c->security ? SEVERITY_MEDIUM : SEVERITY_LOW;
    bool rated = false;
    *ret_what = c->security ? "a crash that may have security consequences" : "a crash";
    for (size_t i = 0; i < ARRAY_LEN(ratings) && !rated; i++)
        if (scan_type_starts(s, ratings[i].type)) {
            severity = ratings[i].severity;
            *ret_what = ratings[i].what;
            rated = true;
        }
    if (c->access == CRASH_EXEC && !c->near_null) {
        *ret_what = "control went to memory that is not code";
        return SEVERITY_CRITICAL;
    }
    if (severity >= SEVERITY_MEDIUM && severity < SEVERITY_HIGH && c->access == CRASH_WRITE)
        severity = SEVERITY_HIGH;
    if (rated && severity >= SEVERITY_MEDIUM && !scan_is(s, "Use-of-uninitialized-value") && in_browser_process(s->text))
        severity++;
    return severity > SEVERITY_CRITICAL ? SEVERITY_CRITICAL : severity;
}

void crash_rate(struct scan *s)
{
    struct crash *c = s->crash;
    const char *what, *manual = manual_severity(s->text);
    c->severity_reason = "no crash was found";
    c->exploit_class = "Undefined";
    if (c->kind == CRASH_NONE)
        return;
    c->security = has_security(s, s->type);
    read_access(s);
    classify(s);
    c->severity = rate(s, &what);
    if (manual) {
        c->severity = *manual == 'C'   ? SEVERITY_CRITICAL
                      : *manual == 'H' ? SEVERITY_HIGH
                      : *manual == 'M' ? SEVERITY_MEDIUM
                                       : SEVERITY_LOW;
        what = "the report rates itself";
    }
    if (is_protected(s->text)) {
        c->severity = SEVERITY_LOW;
        what = "memory is used after it was freed, but MiraclePtr protects it";
    }
    struct strbuf b = STRBUF_INIT_MAX(1024);
    strbuf_puts(&b, what);
    const char *access = crash_access_name(c->access);
    if (access && c->access_size)
        strbuf_printf(&b, "; %s of %llu byte%s", access, (unsigned long long)c->access_size, c->access_size == 1 ? "" : "s");
    else if (access)
        strbuf_printf(&b, "; %s", access);
    if (c->near_null)
        strbuf_puts(&b, "; the address is near null");
    if (c->exploitability != CRASH_UNDEFINED)
        strbuf_printf(&b, "; CASR: %s (%s)", crash_exploitability_name(c->exploitability), c->exploit_class);
    c->severity_reason = arena_strdup(&c->arena, strbuf_str(&b));
    s->no_memory = s->no_memory || b.failed;
    strbuf_release(&b);
}
