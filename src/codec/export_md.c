/* Markdown as GitHub and GitLab show it: a table of all findings, then each with its code. */
#include "codec/export_internal.h"

#include <string.h>

/* Text that shows as it is, in one line, also in a cell of a table. */
static void plain(struct out *out, const char *text)
{
    for (const char *p = text ? text : ""; *p; p++) {
        if (*p == '<')
            out_puts(out, "&lt;");
        else if (*p == '&')
            out_puts(out, "&amp;");
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            out_puts(out, " ");
        else if (strchr("\\`*_[]>|#~@!", *p))
            out_printf(out, "\\%c", *p);
        else
            out_append(out, p, 1);
    }
}

/* The same over several lines. */
static void paragraph(struct out *out, const char *text)
{
    while (*text) {
        char line[1024];
        size_t n = strcspn(text, "\n"), k = n < sizeof line - 1 ? n : sizeof line - 1;
        memcpy(line, text, k);
        line[k] = 0;
        plain(out, line);
        text += k;
        if (*text == '\n') {
            out_puts(out, "\n");
            text++;
        }
    }
    out_puts(out, "\n\n");
}

/* A code block whose fence is longer than any run of backticks in it. */
static void code_block(struct out *out, const char *code)
{
    size_t longest = 2, run = 0;
    for (const char *p = code; *p; p++) {
        run = *p == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    for (size_t i = 0; i <= longest; i++)
        out_puts(out, "`");
    out_puts(out, "\n");
    out_puts(out, code);
    out_puts(out, code[0] && code[strlen(code) - 1] == '\n' ? "" : "\n");
    for (size_t i = 0; i <= longest; i++)
        out_puts(out, "`");
    out_puts(out, "\n\n");
}

static void write_head(struct out *out, const struct findings *list, const struct sarif_options *o)
{
    struct findings_counts c = findings_count(list);
    out_puts(out, "# Findings");
    if (o->target_name) {
        out_puts(out, " in ");
        plain(out, o->target_name);
    }
    out_puts(out, "\n\n");
    if (o->run_id) {
        out_puts(out, "Run ");
        plain(out, o->run_id);
        out_puts(out, o->workflow ? " of " : "");
        plain(out, o->workflow);
        out_puts(out, "\n\n");
    }
    out_puts(out, "| critical | high | medium | low | info | suppressed |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n|");
    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
        out_printf(out, " %zu |", c.by_severity[s]);
    out_printf(out, " %zu |\n\n", c.suppressed);
}

static const char *remark(const struct finding *f)
{
    return f->suppressed                      ? "suppressed"
           : f->status == FINDING_UNCHANGED ? "unchanged"
           : f->status == FINDING_ABSENT    ? "gone"
                                            : "";
}

static void write_row(struct out *out, const struct finding *f)
{
    struct strbuf place = STRBUF_INIT;
    export_place(&place, f);
    out_printf(out, "| %s | ", severity_name(f->severity));
    plain(out, strbuf_str(&place));
    out_puts(out, " | ");
    plain(out, f->title);
    out_puts(out, " | ");
    plain(out, f->rule_id);
    out_printf(out, " | %s |\n", remark(f));
    strbuf_release(&place);
}

static void write_details(struct out *out, const struct finding *f)
{
    struct strbuf place = STRBUF_INIT;
    export_place(&place, f);
    out_puts(out, "### ");
    plain(out, f->title);
    out_puts(out, "\n\n");
    out_printf(out, "**%s**, confidence %s", severity_name(f->severity), confidence_name(f->confidence));
    if (place.len) {
        out_puts(out, ", ");
        plain(out, place.s);
    }
    for (size_t i = 0; i < f->cwe_count; i++)
        out_printf(out, ", [CWE-%d](https://cwe.mitre.org/data/definitions/%d.html)", f->cwe[i], f->cwe[i]);
    out_puts(out, "\n\n");
    if (f->snippet)
        code_block(out, f->snippet);
    if (f->description)
        paragraph(out, f->description);
    if (f->recommendation) {
        out_puts(out, "What to do: ");
        paragraph(out, f->recommendation);
    }
    if (f->suppressed && f->suppression_reason) {
        out_puts(out, "Suppressed: ");
        paragraph(out, f->suppression_reason);
    }
    strbuf_release(&place);
}

int export_markdown(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err)
{
    write_head(out, list, o);
    if (list->len == 0)
        out_puts(out, "No findings.\n");
    else
        out_puts(out, "| severity | place | finding | rule | |\n| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < list->len && !out_failed(out); i++)
        write_row(out, &list->v[i]);
    if (list->len)
        out_puts(out, "\n## Details\n\n");
    for (size_t i = 0; i < list->len && !out_failed(out); i++)
        if (list->v[i].status != FINDING_ABSENT)
            write_details(out, &list->v[i]);
    return err_copy(err, &out->err);
}
