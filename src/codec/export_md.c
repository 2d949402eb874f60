/* Markdown as GitHub and GitLab show it: a table of all findings, then each with its code. */
#include "base/units.h"
#include "codec/crash/advice.h"
#include "codec/export_internal.h"
#include "codec/json.h"

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

/* "#0 parse  parse.c:99", and below it the code. */
static void write_stack(struct out *out, const json_t *stack)
{
    struct strbuf b = STRBUF_INIT;
    size_t i;
    json_t *frame;
    if (json_array_size(stack) == 0)
        return;
    json_array_foreach((json_t *)(uintptr_t)stack, i, frame) {
        const char *file = json_str(frame, "file", NULL), *module = json_str(frame, "module", NULL);
        long long line = json_i64(frame, "line", 0);
        strbuf_printf(&b, "#%zu %s", i, json_is_string(frame) ? json_string_value(frame)
                                                              : json_str(frame, "function", json_str(frame, "message", "?")));
        if (file && line)
            strbuf_printf(&b, "  %s:%lld", file, line);
        else if (file || module)
            strbuf_printf(&b, "  %s", file ? file : module);
        if (json_str(frame, "snippet", NULL))
            strbuf_printf(&b, "\n       %s", json_str(frame, "snippet", ""));
        strbuf_putc(&b, '\n');
    }
    out_puts(out, "Stack:\n\n");
    code_block(out, strbuf_str(&b));
    strbuf_release(&b);
}

/* How to see it again: the input, the command, and how often it works. */
static void write_reproduction(struct out *out, const struct finding *f)
{
    const json_t *input = json_object_get(f->evidence, "reproducer");
    long long bytes = json_i64(input, "bytes", 0);
    char said[CRASH_REPRODUCED_MAX];
    struct strbuf b = STRBUF_INIT;
    export_commands(&b, f);
    if (b.len) {
        out_puts(out, "To see it again");
        if (bytes)
            out_printf(out, " (input of %lld byte%s%s)", bytes, UNITS_S(bytes),
                       json_flag(input, "minimised", false) ? ", minimised" : "");
        if (json_object_get(f->evidence, "tries"))
            out_printf(out, "; %s", crash_reproduced(json_i64(f->evidence, "reproduced", 0), json_i64(f->evidence, "tries", 0),
                                                     said));
        out_puts(out, ":\n\n");
        code_block(out, b.s);
    }
    strbuf_release(&b);
}

/* What the program printed, folded. Markup in it is text: the block is code. */
static void write_report(struct out *out, const json_t *evidence)
{
    const char *report = json_str(evidence, "report", NULL);
    if (!report || !*report)
        return;
    out_puts(out, "<details><summary>Report</summary>\n\n");
    code_block(out, report);
    out_puts(out, "</details>\n\n");
}

static void write_details(struct out *out, const struct finding *f, int level)
{
    struct strbuf place = STRBUF_INIT;
    export_place(&place, f);
    out_printf(out, "%.*s ", level, "######");
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
    write_stack(out, json_object_get(f->evidence, "stack"));
    write_reproduction(out, f);
    write_report(out, f->evidence);
    if (f->suppressed && f->suppression_reason) {
        out_puts(out, "Suppressed: ");
        paragraph(out, f->suppression_reason);
    }
    strbuf_release(&place);
}

void export_markdown_finding(const struct finding *f, struct out *out)
{
    write_details(out, f, 2);
    if (f->fingerprint)
        out_printf(out, "Rule `%s`, fingerprint `%s`.\n", f->rule_id, f->fingerprint);
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
            write_details(out, &list->v[i], 3);
    return err_copy(err, &out->err);
}
