/* JSON Schema (json-schema.org, draft 2020-12), the part that parameters need: type, properties,
 * required, enum, const, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf,
 * minLength, maxLength, pattern (PCRE2), items, minItems, maxItems, uniqueItems, minProperties,
 * maxProperties, additionalProperties, default, allOf, anyOf, oneOf, not.
 *
 * Stricter than the standard in one point: an object whose schema names properties takes no others
 * unless additionalProperties allows them, and the message suggests the nearest name. */
#ifndef FF_CODEC_SCHEMA_H
#define FF_CODEC_SCHEMA_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

#define SCHEMA_POINTER_MAX 512

/* Is it a schema that schema_apply() understands? On -ERR_INVALID, ret_pointer (may be NULL;
 * SCHEMA_POINTER_MAX bytes) gets the JSON pointer of what is wrong, below the schema. */
int schema_check(const json_t *schema, char *ret_pointer, struct err *err);

/* Checks a value and fills in missing members that have a default, in place. noun names a member in
 * messages: "unknown parameter 'scaner_config': did you mean 'scanner_config'?". -ERR_INVALID.
 * schema may be NULL: anything goes. */
int schema_apply(const json_t *schema, json_t *value, const char *noun, struct err *err);

/* The value that a text from a command line means for a schema: a string if the schema wants a
 * string, else JSON of the wanted type, else for an array "a,b,c". -ERR_INVALID if it is none.
 * schema may be NULL: JSON if it is, else a string. *ret is a new reference. */
int schema_value_from_text(const json_t *schema, const char *text, json_t **ret, struct err *err);

#endif
