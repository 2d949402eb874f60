/* The table of formats, JSON and CSV. */
#include "codec/export.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/units.h"
#include "codec/export_internal.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* --- JSON --- */

static int export_json(const struct findings *list, const struct sarif_options *o, struct out *out,
                       struct err *err)
{
    struct findings_counts counts = findings_count(list);
    out_puts(out, "{\"run_id\":");
    out_json(out, o->run_id ? json_clean_string(o->run_id) : json_null());
    out_puts(out, ",\"workflow\":");
    out_json(out, o->workflow ? json_clean_string(o->workflow) : json_null());
    out_puts(out, ",\"target\":");
    out_json(out, o->target_name ? json_clean_string(o->target_name) : json_null());
    out_puts(out, ",\"findings_count\":");
    out_json(out, findings_counts_json(&counts));
    out_puts(out, ",\"findings\":[");
    for (size_t i = 0; i < list->len && !out_failed(out); i++) {
        out_puts(out, i ? ",\n" : "\n");
        out_json(out, finding_to_json(&list->v[i]));
    }
    out_puts(out, "]}\n");
    return err_copy(err, &out->err);
}

/* --- CSV --- */

static void csv_text(struct out *out, const char *text)
{
    text = text ? text : "";
    if (*text && strchr("=+-@\t\r", *text)) { /* a spreadsheet would run it */
        out_puts(out, "\"'");
    } else if (!strpbrk(text, "\",\r\n;")) {
        out_puts(out, text);
        return;
    } else {
        out_puts(out, "\"");
    }
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\"");
        out_append(out, p, n);
        p += n;
        if (*p == '"') {
            out_puts(out, "\"\"");
            p++;
        }
    }
    out_puts(out, "\"");
}

static void csv_number(struct out *out, int n)
{
    out_puts(out, ",");
    if (n > 0)
        out_printf(out, "%d", n);
}

static void csv_line(struct out *out, const struct finding *f)
{
    const char *const head[] = {f->id, severity_name(f->severity), confidence_name(f->confidence), f->rule_id,
                                f->title, f->file};
    const char *const tail[] = {f->module, finding_status_name(f->status), f->suppressed ? "true" : "false",
                                f->suppression_reason, f->fingerprint, f->description, f->recommendation};
    for (size_t i = 0; i < ARRAY_LEN(head); i++) {
        if (i)
            out_puts(out, ",");
        csv_text(out, head[i]);
    }
    csv_number(out, f->line);
    csv_number(out, f->column);
    csv_number(out, f->end_line);
    csv_number(out, f->end_column);
    out_puts(out, ",");
    for (size_t i = 0; i < f->cwe_count; i++)
        out_printf(out, "%sCWE-%d", i ? " " : "", f->cwe[i]);
    for (size_t i = 0; i < ARRAY_LEN(tail); i++) {
        out_puts(out, ",");
        csv_text(out, tail[i]);
    }
    out_puts(out, "\r\n");
}

static int export_csv(const struct findings *list, const struct sarif_options *o, struct out *out,
                      struct err *err)
{
    out_puts(out, "id,severity,confidence,rule_id,title,file,line,column,end_line,end_column,cwe,module,status,"
                  "suppressed,suppression_reason,fingerprint,description,recommendation\r\n");
    for (size_t i = 0; i < list->len && !out_failed(out); i++)
        csv_line(out, &list->v[i]);
    return err_copy(err, &out->err);
}

static int export_sarif(const struct findings *list, const struct sarif_options *o, struct out *out,
                        struct err *err)
{
    return sarif_stream(list, o, out, NULL, err);
}

/* --- the table --- */

static const struct format {
    const char *name, *suffix;
    int (*write)(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err);
} formats[] = {
    [EXPORT_JSON] = {"json", ".json", export_json},      [EXPORT_CSV] = {"csv", ".csv", export_csv},
    [EXPORT_HTML] = {"html", ".html", export_html},      [EXPORT_SARIF] = {"sarif", ".sarif", export_sarif},
    [EXPORT_JUNIT] = {"junit", ".xml", export_junit},    [EXPORT_MD] = {"md", ".md", export_markdown},
    [EXPORT_GL_SAST] = {"gl-sast", ".json", export_gitlab},
};

const char *export_format_name(enum export_format f)
{
    return (size_t)f < ARRAY_LEN(formats) ? formats[f].name : "";
}

const char *export_format_suffix(enum export_format f)
{
    return (size_t)f < ARRAY_LEN(formats) ? formats[f].suffix : "";
}

int export_format_parse(const char *text, enum export_format *ret, struct err *err)
{
    struct suggest near;
    suggest_init(&near, text);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(text, formats[i].name) == 0) {
            *ret = (enum export_format)i;
            return 0;
        }
        suggest_offer(&near, formats[i].name);
    }
    int r = err_set(err, ERR_INVALID, "unknown format '%.40s'", text);
    if (err && near.best)
        err_hint(err, "did you mean '%s'?", near.best);
    else if (err)
        err_hint(err, "one of json, csv, html, sarif, junit, md, gl-sast");
    return r;
}

int export_findings(const struct findings *list, enum export_format format, const struct sarif_options *o,
                    struct out *out, struct err *err)
{
    return formats[format].write(list, o, out, err);
}

int export_finding(const struct finding *f, enum export_format format, struct out *out, struct err *err)
{
    if (format == EXPORT_MD)
        export_markdown_finding(f, out);
    else if (format == EXPORT_HTML)
        export_html_finding(f, out);
    else
        return err_set(err, ERR_INVALID, "one finding is written as md or html, not as %s", export_format_name(format));
    return err_copy(err, &out->err);
}

/* --- shared --- */

static const char *xml_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* XML 1.0 has no control characters but these, and not U+FFFE and U+FFFF. */
static bool xml_knows(const char *p, size_t n)
{
    if (n == 1)
        return (unsigned char)*p >= 0x20 || strchr("\t\n\r", *p);
    return n > 0 && !(n == 3 && p[0] == '\xef' && p[1] == '\xbf' && (unsigned char)p[2] >= 0xbe);
}

void export_escape_xml(struct out *out, const char *text)
{
    size_t len = text ? strlen(text) : 0, from = 0;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        const char *instead = xml_knows(text + i, n) ? xml_entity(text[i]) : "\xef\xbf\xbd";
        if (instead) {
            out_append(out, text + from, i - from);
            out_puts(out, instead);
            from = i + (n ? n : 1);
        }
        i += n ? n : 1;
    }
    if (len > from)
        out_append(out, text + from, len - from);
}

const char *export_time(int64_t ns, char buf[32])
{
    time_t s = (time_t)(ns / NS_PER_S);
    struct tm tm;
    if (ns <= 0 || !gmtime_r(&s, &tm) || strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        buf[0] = 0;
    return buf;
}

static bool is_plain_word(const char *s)
{
    return *s && *s != '-' && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-")] == 0;
}

void export_commands(struct strbuf *b, const struct finding *f)
{
    const json_t *input = json_object_get(f->evidence, "reproducer");
    const char *ref = json_is_string(input) ? json_string_value(input) : json_str(input, "ref", "");
    const char *name = json_str(input, "name", "reproducer"), *command = json_str(f->evidence, "command", NULL);
    const char *build = json_str(f->evidence, "build", NULL);
    if (build && *build)
        strbuf_printf(b, "%s\n", build);
    if (is_plain_word(ref))
        strbuf_printf(b, "ff store get %s -o %s\n", ref, is_plain_word(name) ? name : "reproducer");
    if (command && *command)
        strbuf_printf(b, "%s\n", command);
}

void export_place(struct strbuf *b, const struct finding *f)
{
    if (f->file)
        strbuf_puts(b, f->file);
    if (f->file && f->line)
        strbuf_printf(b, ":%d", f->line);
}
