/* Inline suppression: "ff:ignore[rule] reason" in a comment. */
#ifndef FF_SCAN_SUPPRESS_H
#define FF_SCAN_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Does the line hold an ff:ignore that names the rule? It must stand behind a mark that begins a comment in some
 * language; whole: the line holds nothing but the comment (what an ff:ignore on the line before must be). The name
 * in brackets is a rule id, its category, its last part, or a glob, several separated by commas; without brackets
 * every rule is meant. *ret_reason is the caller's, "" when none is given; NULL when memory is out. */
bool suppress_in_line(const char *line, size_t len, const char *rule, bool whole, char **ret_reason);

#endif
