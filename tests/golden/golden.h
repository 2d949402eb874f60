/* Golden files: what a program writes, kept beside the test. UPDATE=1 in the environment rewrites them. */
#ifndef FF_TESTS_GOLDEN_H
#define FF_TESTS_GOLDEN_H

#include <stddef.h>

/* Compares with dir/name. 0 if equal or rewritten; else 1, with the first difference on standard error. */
int golden_check(const char *dir, const char *name, const char *text, size_t len);

#endif
