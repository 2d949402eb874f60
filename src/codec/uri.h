/* File names as URI references (RFC 3986) and back. */
#ifndef FF_CODEC_URI_H
#define FF_CODEC_URI_H

#include "base/strbuf.h"

/* Appends a path: everything but unreserved characters and '/' as %XX. A finding's path has bytes that are not
 * UTF-8 as %80 to %FF already (codec/finding.h): these stay as they are, so that the URI names the real file. */
void uri_append_path(struct strbuf *b, const char *path);
/* The same for a path as it is on disk: each of its bytes for itself. */
void uri_append_file(struct strbuf *b, const char *path);
/* Appends text with all but A-Z a-z 0-9 - _ . ~ as %XX: a value of a query, or one part of a path. */
void uri_append_value(struct strbuf *b, const char *text);
/* Appends what the URI's path names, as a finding's path: decoded, except for bytes that are not UTF-8. */
int uri_append_decoded(struct strbuf *b, const char *uri, struct err *err);

#endif
