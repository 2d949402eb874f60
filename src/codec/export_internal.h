/* One function a format, and the escaping that they share. */
#ifndef FF_CODEC_EXPORT_INTERNAL_H
#define FF_CODEC_EXPORT_INTERNAL_H

#include "codec/export.h"

int export_html(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err);
int export_junit(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err);
int export_markdown(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err);
int export_gitlab(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err);
/* One finding as a document of its own. */
void export_html_finding(const struct finding *f, struct out *out);
void export_markdown_finding(const struct finding *f, struct out *out);

/* Text for HTML and XML, in content and in quoted attributes; characters that XML 1.0 does not know become U+FFFD. */
void export_escape_xml(struct out *out, const char *text);
/* "2026-11-23T12:47:32" (UTC), empty for 0. */
const char *export_time(int64_t ns, char buf[32]);
/* "file:12", or "file", or "". */
void export_place(struct strbuf *b, const struct finding *f);

#endif
