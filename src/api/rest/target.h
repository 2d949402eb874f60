/* The target of a request (RFC 9112, origin or absolute form): path and query as they came, taken apart and decoded; and cursors.
 *
 * Nothing is guessed: a part that is no UTF-8, or has a NUL, a control character or a bad %XX, is refused. */
#ifndef FF_API_REST_TARGET_H
#define FF_API_REST_TARGET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_BYTES_MAX 8192
#define TARGET_PARTS_MAX 8
#define TARGET_FIELDS_MAX 32

struct target_field {
    const char *name, *value; /* value "" where there is no '=' */
};

struct target {
    char *text; /* what the rest points into */
    const char *authority; /* of the absolute form, which counts in the place of the Host; NULL: it is the origin form */
    const char *parts[TARGET_PARTS_MAX]; /* of the path: "/a/b" and "/a/b/" both are a, b */
    size_t parts_count;
    bool too_deep; /* more parts than that: no route has them */
    bool slash;    /* the path ends with one */
    struct target_field fields[TARGET_FIELDS_MAX];
    size_t fields_count;
};

/* -ERR_USAGE: it is malformed. -ERR_LIMIT: it is too long, or has too many fields. */
int target_parse(const char *text, size_t len, struct target *ret, struct err *err);
void target_release(struct target *t);
/* The value of a field, or NULL. */
const char *target_field(const struct target *t, const char *name);

#define CURSOR_BYTES_MAX 3000
/* A place in a list as URL-safe text (RFC 4648, section 5, no padding), with a checksum so that what was cut or invented is told
 * from what was given. kind tells lists apart. The caller frees; NULL when memory is out. */
char *cursor_write(uint32_t kind, const void *data, size_t len);
/* -ERR_NOT_FOUND: it was not given by cursor_write(). *ret is the caller's. */
int cursor_read(uint32_t kind, const char *text, uint8_t **ret, size_t *ret_len, struct err *err);

#endif
