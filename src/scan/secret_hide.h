/* The secrets of a text, so that whatever is shown of it can go without them. */
#ifndef FF_SCAN_SECRET_HIDE_H
#define FF_SCAN_SECRET_HIDE_H

#include "base/err.h"
#include "base/strbuf.h"

#include <jansson.h>
#include <stddef.h>

struct secret_hide;

/* path: raw, relative. For one thread at a time. */
int secret_hide_new(const char *path, const char *text, size_t len, struct secret_hide **ret, struct err *err);
void secret_hide_free(struct secret_hide *h); /* NULL is fine */
/* Appends a line of the text, its first max bytes or less, cleaned; secrets in it, wherever in the text they were found, as
 * secret_redact() has them. */
void secret_hide_append(const struct secret_hide *h, struct strbuf *out, const char *line, size_t len, size_t max);

/* The same for each text in what a module says (a finding, a log line), in place; what names things, as ids and files, stays.
 * Any thread. */
int secret_hide_texts(json_t *said, struct err *err);

#endif
