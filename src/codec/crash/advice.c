#include "codec/crash/advice.h"

#include "base/cleanup.h"
#include "base/units.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* By the beginning of the type; write: where that writes, another weakness. */
static const struct {
    const char *type;
    int cwe, cwe_write;
    const char *advice;
} known[] = {
    {"Heap-buffer-overflow", 125, 787,
     "Check the index or length against the size of the allocation before this access; the report says where it was allocated."},
    {"Stack-buffer-overflow", 125, 787, "Check the index or length against the size of the array before this access."},
    {"Stack-buffer-underflow", 127, 124, "Check that the index or pointer does not fall below the array's beginning."},
    {"Dynamic-stack-buffer-overflow", 125, 787,
     "Check the index or length against the length that the array was made with, and bound that length."},
    {"Global-buffer-overflow", 125, 787, "Check the index or length against the size of the table before this access."},
    {"Container-overflow", 125, 787, "Use the container's size, not its capacity, and do not keep pointers over a change of it."},
    {"Index-out-of-bounds", 129, 129, "Check the index against the array's length."},
    {"Index out of range", 129, 129, "Check the index against the length before it is used."},
    {"Slice bounds out of range", 129, 129, "Check both bounds against the length before the slice is made."},
    {"Heap-use-after-free", 416, 416,
     "Find who still holds the pointer when it is freed (the report has both stacks): end its life there, or let the object live "
     "longer."},
    {"Use-after-poison", 416, 416, "Find who still holds the pointer when its memory is given back."},
    {"Stack-use-after", 562, 562, "Do not keep a pointer to a local variable beyond its scope: copy the value or allocate it."},
    {"Heap-double-free", 415, 415, "Give the memory one owner; set pointers to null where ownership ends."},
    {"Invalid-free", 763, 763, "Free exactly the pointer that was allocated, not one into it, and not one of another kind."},
    {"Alloc-dealloc-mismatch", 762, 762, "Free with the function that belongs to the allocation (delete[] for new[])."},
    {"Memcpy-param-overlap", 475, 475, "Use memmove, or check that the regions are apart."},
    {"Negative-size-param", 195, 195, "Check the length for being negative before it becomes unsigned."},
    {"Use-of-uninitialized-value", 457, 457,
     "Set the value on every path; with -fsanitize-memory-track-origins the report says where it came from."},
    {"Null-dereference", 476, 476, "Check the pointer, or the call that gave it, before it is used."},
    {"Invalid memory address", 476, 476, "Check the pointer for nil before it is used."},
    {"Bad-cast", 843, 843, "Check the object's type before the cast (dynamic_cast, a tag)."},
    {"Incorrect-function-pointer-type", 843, 843, "Call the function through a pointer of its own type."},
    {"Object-size", 119, 119, "Check that the object is as large as the type that it is used as."},
    {"Integer-overflow", 190, 190, "Check the operands before the operation (__builtin_add_overflow), or use a wider type."},
    {"Unsigned-integer-overflow", 190, 190, "Check the operands before the operation, if wrapping around is not meant."},
    {"Undefined-shift", 1335, 1335, "Check that the count is not negative and below the width of the type."},
    {"Divide-by-zero", 369, 369, "Check the divisor."},
    {"Integer divide by zero", 369, 369, "Check the divisor."},
    {"Non-positive-vla-bound-value", 1284, 1284, "Check the length before the array is made."},
    {"Makeslice: len out of range", 770, 770, "Bound the length that the input asks for."},
    {"Stack-overflow", 674, 674, "Bound the depth of the recursion, or use a stack of your own."},
    {"Stack overflow", 674, 674, "Bound the depth of the recursion."},
    {"Timeout", 835, 835, "Look for a loop whose bound comes from the input, or for work that grows faster than its size."},
    {"Out-of-memory", 770, 770, "Bound what is allocated by the size of the input that is really there."},
    {"Direct-leak", 401, 401, "Free the memory on every path, errors included."},
    {"Indirect-leak", 401, 401, "Free the memory on every path, errors included."},
    {"Memory-leak", 401, 401, "Free the memory on every path, errors included."}, /* as an engine says it */
    {"Data race", 362, 362, "Guard the memory by one lock in all threads, or make it atomic."},
    {"Lock-order-inversion", 833, 833, "Take the locks in the same order everywhere."},
    {"Command injection", 78, 78, "Do not build commands from input; give arguments as a list, without a shell."},
    {"Arbitrary file open", 22, 22, "Check the path against the folder that it must stay in."},
    {"ASSERT", 617, 617, "If input can reach it, handle the case as an error instead of asserting."},
    {"CHECK failure", 617, 617, "If input can reach it, handle the case as an error instead of checking."},
    {"DCHECK failure", 617, 617, "The debug build's check tells of a wrong assumption: find out who breaks it."},
    {"Uncaught exception", 248, 248,
     "Catch what the input can cause, or document it as part of the interface and let the harness expect it."},
    {"Panic", 248, 248, "Return an error for what the input can cause, or document the panic and let the harness keep from it."},
    {"Unreachable code", 617, 617, "Handle the case: the input does reach it."},
    {"Unexpected-exit", 705, 705, "A library must not end the process: return an error."},
};

static int find(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strncmp(type, known[i].type, strlen(known[i].type)) == 0)
            return (int)i;
    return -1;
}

int crash_cwe(const char *type)
{
    int i = find(type);
    return i < 0 ? 0 : strstr(type, "WRITE") ? known[i].cwe_write : known[i].cwe;
}

const char *crash_advice(const char *type)
{
    int i = find(type);
    return i < 0 ? NULL : known[i].advice;
}

const char *crash_reproduced(long long hits, long long tries, char ret[CRASH_REPRODUCED_MAX])
{
    if (tries > 0)
        snprintf(ret, CRASH_REPRODUCED_MAX, "reproduced %lld of %lld time%s", hits, tries, UNITS_S(tries));
    else
        snprintf(ret, CRASH_REPRODUCED_MAX, "not yet reproduced");
    return ret;
}

void crash_rule_id(const char *type, char ret[CRASH_RULE_MAX])
{
    size_t n = (size_t)snprintf(ret, CRASH_RULE_MAX, "fuzzing/");
    for (; *type && *type != '{' && n + 1 < CRASH_RULE_MAX; type++) {
        bool lower = *type >= 'a' && *type <= 'z', upper = *type >= 'A' && *type <= 'Z';
        if (lower || upper)
            ret[n++] = (char)(upper ? *type - 'A' + 'a' : *type);
        else if (ret[n - 1] != '-' && ret[n - 1] != '/')
            ret[n++] = '-';
    }
    while (ret[n - 1] == '-')
        n--;
    ret[n] = 0;
}
