/* Text that came out of a target, made fit to be shown to a model and to people: nothing in it is invisible. */
#ifndef FF_API_MCP_VISIBLE_H
#define FF_API_MCP_VISIBLE_H

#include "base/strbuf.h"

#include <jansson.h>

/* Appends with each character that is not seen, or changes how others are seen, written as \u{XXXX}: controls but tab and
 * newline, marks of direction, zero-width ones, tags (U+E0000...), variation selectors. Bad UTF-8 becomes U+FFFD. */
void visible_append(struct strbuf *b, const char *s, size_t n);
/* Is it UTF-8 in which nothing is to be written otherwise? Lines may end in CR LF. */
bool visible_as_is(const char *s, size_t n);
/* The same for all strings in the value of an object or an array, in place; keys too. -ERR_NO_MEMORY, or -ERR_LIMIT. */
int visible_json(json_t *j, struct err *err);

#endif
