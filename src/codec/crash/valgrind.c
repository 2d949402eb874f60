/* Valgrind's Memcheck: "==7== Invalid read of size 4", the stack ("   at 0x1: f (a.c:4)", "   by 0x2: main (in /bin/x)"),
 * what the address is ("  Address 0x3 is 0 bytes after a block of size 40 alloc'd"), and a line of the number alone. It goes
 * on after an error; the first one counts, as for sanitizers that do. The types are ClusterFuzz's for the same fault. */
#include "codec/crash/scan_internal.h"

#include <stdio.h>

#define BLOCK_MAX 600 /* lines */

static const struct {
    const char *says, *type, *access; /* type NULL: the address tells */
} errors[] = {
    {"Invalid read of size ", NULL, "READ"},
    {"Invalid write of size ", NULL, "WRITE"},
    {"Invalid free() / delete", "Invalid-free", NULL},
    {"Mismatched free() / delete", "Alloc-dealloc-mismatch", NULL},
    {"Conditional jump or move depends on uninitialised value(s)", "Use-of-uninitialized-value", NULL},
    {"Use of uninitialised value of size ", "Use-of-uninitialized-value", NULL},
    {"Syscall param ", "Use-of-uninitialized-value", NULL},
    {"Source and destination overlap in ", "Memcpy-param-overlap", NULL},
    {"Jump to the invalid address stated on the next line", "UNKNOWN", NULL},
    {"Process terminating with default action of signal ", "", NULL},
};

/* What the tool says in the line; false: it is none of its lines. */
static bool line_of(struct view line, struct view *ret)
{
    if (!view_skip(&line, "==") || !view_take(&line, is_digit).n || !view_skip(&line, "=="))
        return false;
    *ret = view_trim(line);
    return true;
}

/* "77 bytes in 1 blocks are definitely lost in loss record 1 of 1" */
static bool is_leak(struct view said)
{
    return said.n && is_digit(said.s[0]) && view_has(said, " bytes in ") && view_has(said, " definitely lost in loss record ");
}

static const char *type_of_address(struct view said)
{
    static const char *const words[][2] = {
        {"free'd", "Heap-use-after-free"}, {" a block of size ", "Heap-buffer-overflow"}, {"'s stack", "Stack-buffer-overflow"},
        {" data symbol ", "Global-buffer-overflow"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!view_has(said, "is not stack'd") && view_has(said, words[i][0]))
            return words[i][1];
    return "UNKNOWN";
}

/* "at 0x1093D6: f(int) (a.cpp:4)" as a frame of a sanitizer. What is below main() is no frame. */
static void read_frame(struct scan *s, struct view said, int number)
{
    char text[CRASH_TEXT_MAX];
    struct view address = view_take(&said, is_hex), place = {"", 0};
    if (!view_skip(&said, ": ") || view_starts(said, "(below main)"))
        return;
    ssize_t open = view_ends(said, ")") ? view_rfind(said, " (") : -1;
    struct view name = view_first(open < 0 ? said : view_first(said, (size_t)open), 1500);
    if (open >= 0)
        place = view_first(view_first(view_from(said, (size_t)open + 2), said.n - (size_t)open - 3), 1500);
    bool module = view_skip(&place, "in "), unknown = view_is(name, "???");
    if (unknown && !module)
        return;
    int n = snprintf(text, sizeof text, "#%d %.*s%s%.*s%s%.*s%s", number, (int)(address.n < 20 ? address.n : 20), address.s,
                     unknown ? "" : " in ", unknown ? 0 : (int)name.n, name.s, module ? " (" : " ", (int)place.n, place.s,
                     module ? "+0x0)" : "");
    rule_frame(s, (struct view){text, (size_t)n});
}

/* The stack, and what the address is: true if memory that was freed. */
static bool read_block(struct scan *s, struct view text, bool of_address)
{
    bool freed = false, in_stack = true;
    int frames = 0;
    for (int i = 0; i < BLOCK_MAX && text.n; i++) {
        ssize_t end = view_find_char(text, '\n');
        struct view line = view_first(text, end < 0 ? text.n : (size_t)end), said, rest;
        text = view_from(text, end < 0 ? text.n : (size_t)end + 1);
        if (line.n > CRASH_TEXT_MAX || !line_of(line, &said) || !said.n)
            break;
        rest = said;
        if (view_skip(&rest, "at ") || view_skip(&rest, "by ")) {
            if (in_stack)
                read_frame(s, rest, frames++);
            continue;
        }
        in_stack = in_stack && !frames; /* other stacks follow */
        if (view_starts(said, "Address 0x")) {
            rest = view_from(said, strlen("Address "));
            scan_address(s, "", view_take(&rest, is_hex));
            freed = view_has(said, "free'd");
            if (of_address)
                scan_type(s, CRASH_VALGRIND, type_of_address(said));
        } else if (view_after(said, " mapped region at address ", &rest)) {
            scan_address(s, "", view_take(&rest, is_hex));
        }
    }
    return freed;
}

bool read_valgrind(struct scan *s, struct view line, struct view text)
{
    struct view said, rest;
    size_t i = 0;
    if (!line_of(line, &said))
        return false;
    while (i < sizeof errors / sizeof *errors && !view_starts(said, errors[i].says))
        i++;
    bool leak = is_leak(said);
    if (i == sizeof errors / sizeof *errors && !leak)
        return false;
    const char *type = leak ? "Direct-leak" : errors[i].type, *access = leak ? NULL : errors[i].access;
    rest = leak ? said : view_from(said, strlen(errors[i].says));
    scan_restart(s);
    scan_type(s, CRASH_VALGRIND, !type ? "UNKNOWN" : *type ? type : signal_type(view_int(rest)));
    bool freed = read_block(s, text, !type);
    if (freed && scan_is(s, "Invalid-free"))
        scan_type(s, CRASH_VALGRIND, "Heap-double-free");
    if (access && scan_is(s, "UNKNOWN"))
        scan_add_to_type(s, "\n%s", access);
    else if (access)
        scan_add_to_type(s, "\n%s %d", access, view_int(rest));
    s->stack_closed = true;
    return true;
}
