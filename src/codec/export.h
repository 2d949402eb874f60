/* The findings of a run in the forms that other programs and people read. What a form cannot say it leaves out; suppressed
 * findings are in all of them, marked as such; absent ones in json, csv, html, sarif and md. */
#ifndef FF_CODEC_EXPORT_H
#define FF_CODEC_EXPORT_H

#include "base/strbuf.h"
#include "codec/findings.h"
#include "codec/out.h"
#include "codec/sarif.h"

enum export_format {
    EXPORT_JSON,    /* {run_id, workflow, target, findings_count, findings} */
    EXPORT_CSV,     /* RFC 4180 with a header; no cell can be taken for a formula */
    EXPORT_HTML,    /* one file, nothing loaded from elsewhere */
    EXPORT_SARIF,   /* 2.1.0 */
    EXPORT_JUNIT,   /* XML: a failed test case a finding, skipped if suppressed */
    EXPORT_MD,      /* GitHub-flavoured Markdown */
    EXPORT_GL_SAST, /* GitLab's SAST report, schema 15 */
    EXPORT_FORMATS_
};

const char *export_format_name(enum export_format f); /* "gl-sast" */
const char *export_format_suffix(enum export_format f); /* of a file name: ".sarif" */
/* Unknown: -ERR_INVALID with the nearest name as hint. */
int export_format_parse(const char *text, enum export_format *ret, struct err *err);

/* Streams to out, whose out_finish() is the caller's to call. The options are those of SARIF. */
int export_findings(const struct findings *list, enum export_format format, const struct sarif_options *o,
                    struct out *out, struct err *err);
/* One finding, as a document that can be pasted into an issue: EXPORT_MD or EXPORT_HTML, -ERR_INVALID for any other. */
int export_finding(const struct finding *f, enum export_format format, struct out *out, struct err *err);
/* The commands that show a finding again, a line each: fetch the input that is its reproducer, run it. Nothing if there is
 * neither. What is no plain word in a name is not put into a command. */
void export_commands(struct strbuf *b, const struct finding *f);

#endif
