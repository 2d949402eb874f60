/* What the inputs of the scanning modules have in common. */
#ifndef FF_SCAN_SCAN_INPUT_H
#define FF_SCAN_SCAN_INPUT_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_FILE_SIZE_DEFAULT ((uint64_t)10 << 20) /* larger files are left out by filter */
#define SCAN_PATTERNS_MAX 1000

/* Globs of files; they borrow from the input. */
struct scan_patterns {
    const json_t *list; /* NULL: everything fits */
};

/* An array of strings; -ERR_INVALID names what is wrong. */
int scan_patterns_init(struct scan_patterns *p, const json_t *input, const char *key, struct err *err);
bool scan_patterns_fit(const struct scan_patterns *p, const char *path);

/* A size in bytes, or text as units_parse_size() takes it. */
int scan_input_size(const json_t *input, const char *key, uint64_t def, uint64_t *ret, struct err *err);

#endif
