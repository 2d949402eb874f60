/* JSON (jansson) with bounds, and accessors that name what is wrong. */
#ifndef FF_CODEC_JSON_H
#define FF_CODEC_JSON_H

#include "base/err.h"
#include "base/strbuf.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 128

/* One document of at most max bytes, depth at most JSON_DEPTH_MAX, no duplicate keys, any top-level value.
 * *ret is a new reference. */
int json_parse(const char *text, size_t len, size_t max, json_t **ret, struct err *err);
/* The same, but what JSON may say and a json_t cannot hold is no error, an integer of over 64 bits and a NUL in a name: in such a
 * text those integers become reals, and NULs U+FFFD. */
int json_parse_foreign(const char *text, size_t len, size_t max, json_t **ret, struct err *err);
/* Compact text, keys in insertion order. */
int json_write(const json_t *j, struct strbuf *out, struct err *err);
/* Compact text with sorted keys: equal values give equal text. */
int json_write_canonical(const json_t *j, struct strbuf *out, struct err *err);
int json_write_pretty(const json_t *j, struct strbuf *out, struct err *err);

/* A string value of any bytes: what is not UTF-8, and NUL, becomes U+FFFD. New reference, NULL when memory is out. */
json_t *json_clean_string(const char *s);

/* Base64 (RFC 4648) as a string value. New reference, NULL when memory is out. */
json_t *json_base64(const void *data, size_t n);

/* Member access with a default for absent or wrong type; object may be NULL. Strings are borrowed. */
const char *json_str(const json_t *object, const char *key, const char *def);
int64_t json_i64(const json_t *object, const char *key, int64_t def);
double json_num(const json_t *object, const char *key, double def);
bool json_flag(const json_t *object, const char *key, bool def);

static inline void json_decref_cleanup_(json_t **j)
{
    json_decref(*j);
}
#define _cleanup_json_ __attribute__((cleanup(json_decref_cleanup_)))

#endif
