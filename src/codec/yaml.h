/* YAML to JSON: what configuration, metadata and rule files are read with.
 *
 * The scalars are those of YAML 1.2's core schema (yaml.org/spec/1.2.2, section 10.3): null, ~,
 * true, false, integers (also 0x and 0o), floats; "yes", "no", "on" and "off" are strings. One
 * document; no merge keys, no tags but the standard ones, no key that is not a scalar, no key
 * twice. Reading is bounded in bytes, depth and nodes, where an alias counts for all that it stands
 * for: so a "billion laughs" file is refused. */
#ifndef FF_CODEC_YAML_H
#define FF_CODEC_YAML_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

struct yaml_limits { /* 0: the default */
    size_t bytes;    /* of the text: 1 MiB */
    size_t nodes;    /* scalars, sequences and mappings: 100,000 */
    int depth;       /* of nesting: 64, at most JSON_DEPTH_MAX */
};

/* Where things stand in the text. */
struct yaml_marks;

/* Parses one document; an empty one gives JSON null. limits may be NULL. *ret is a new reference.
 * ret_marks may be NULL; what it gets is freed with yaml_marks_free(). -ERR_INVALID with "line N:
 * reason", or -ERR_LIMIT. */
int yaml_parse(const char *text, size_t len, const struct yaml_limits *limits, json_t **ret,
               struct yaml_marks **ret_marks, struct err *err);

/* The line (from 1) of the value at a JSON pointer (RFC 6901) such as
 * "/parameters/properties/depth"; of a member of a mapping it is the line of its key. If the
 * pointer is not known, that of the nearest parent that is. */
int yaml_marks_line(const struct yaml_marks *m, const char *pointer);
void yaml_marks_free(struct yaml_marks *m); /* NULL is fine */

/* The value of a scalar's text by the rules above, as if it were plain: for "key=value" on a
 * command line. Never fails but for memory (NULL): what is nothing else is a string. */
json_t *yaml_scalar(const char *text, size_t len);

static inline void yaml_marks_cleanup_(struct yaml_marks **m)
{
    yaml_marks_free(*m);
}

#endif
