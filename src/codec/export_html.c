/* One HTML file that needs nothing else: counts, filters, and each finding to unfold. Everything from outside is
 * escaped, and the page's own policy forbids it to load or to send anything. */
#include "codec/crash/advice.h"
#include "codec/export_internal.h"
#include "codec/json.h"

#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--line:#8884}\n"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin:0 0 .25rem}\n"
    ".facts{opacity:.75;margin:0 0 1rem}\n"
    ".bar{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;position:sticky;top:0;background:Canvas;"
    "padding:.6rem 0;border-bottom:1px solid var(--line)}\n"
    ".bar input[type=search]{flex:1;min-width:12rem;padding:.35rem .6rem;font:inherit}\n"
    ".bar label{white-space:nowrap}\n"
    "details{border-bottom:1px solid var(--line);padding:.45rem 0}\n"
    "summary{cursor:pointer;display:flex;gap:.75rem;align-items:baseline}\n"
    "summary .place{font-family:ui-monospace,monospace;opacity:.8;overflow-wrap:anywhere;margin-left:auto;"
    "text-align:right}\n"
    ".sev{font-size:.75rem;font-weight:700;border-radius:.3rem;padding:.1rem .45rem;color:#fff;text-transform:uppercase;"
    "flex:none}\n"
    ".critical{background:#7b1fa2}.high{background:#c62828}.medium{background:#b26a00}.low{background:#1565c0}"
    ".info{background:#607d8b}\n"
    ".muted>summary{opacity:.55}\n"
    "pre{overflow-x:auto;padding:.6rem .8rem;border:1px solid var(--line);border-radius:.3rem;white-space:pre}\n"
    ".body{padding:.25rem 0 .5rem 1rem}.body p{white-space:pre-wrap;overflow-wrap:anywhere;margin:.5rem 0}\n"
    ".tag{font-size:.8rem;border:1px solid var(--line);border-radius:.3rem;padding:0 .4rem;margin-right:.3rem}\n"
    ".notices{margin-top:2rem}\n"
    "@media print{.bar{display:none}}\n"
    "</style>\n";

static const char script[] =
    "<script>\n"
    "(function(){\n"
    "var text=document.getElementById('text'),boxes=document.querySelectorAll('.bar input[type=checkbox]'),\n"
    "shown=document.getElementById('shown'),all=document.querySelectorAll('details[data-severity]');\n"
    "function apply(){var on={},n=0,want=text.value.toLowerCase();\n"
    "boxes.forEach(function(b){on[b.value]=b.checked});\n"
    "all.forEach(function(d){var ok=on[d.dataset.severity]&&(on.muted||!d.classList.contains('muted'))&&\n"
    "(!want||d.textContent.toLowerCase().indexOf(want)>=0);d.hidden=!ok;if(ok)n++});\n"
    "shown.textContent=n+' of '+all.length+' shown'}\n"
    "text.addEventListener('input',apply);boxes.forEach(function(b){b.addEventListener('change',apply)});apply();\n"
    "})();\n"
    "</script>\n";

static void write_facts(struct out *out, const struct sarif_options *o)
{
    char started[32];
    export_time(o->started_ns, started);
    out_puts(out, "<p class=\"facts\">");
    if (o->workflow) {
        export_escape_xml(out, o->workflow);
        out_puts(out, " &middot; ");
    }
    if (o->run_id) {
        out_puts(out, "run ");
        export_escape_xml(out, o->run_id);
    }
    if (*started)
        out_printf(out, " &middot; %s UTC", started);
    out_printf(out, " &middot; %s</p>\n", o->successful ? "all of the target was examined" : "incomplete");
}

static void write_bar(struct out *out, const struct findings *list)
{
    struct findings_counts c = findings_count(list);
    out_puts(out, "<div class=\"bar\">\n<input id=\"text\" type=\"search\" placeholder=\"rule, file, text\" "
                  "aria-label=\"Filter\">\n");
    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
        out_printf(out, "<label><input type=\"checkbox\" value=\"%s\" checked> <span class=\"sev %s\">%zu %s</span></label>\n",
                   severity_name((enum severity)s), severity_name((enum severity)s), c.by_severity[s],
                   severity_name((enum severity)s));
    out_printf(out, "<label><input type=\"checkbox\" value=\"muted\" checked> %zu suppressed, %zu gone</label>\n"
                    "<span id=\"shown\"></span>\n</div>\n", c.suppressed, c.absent);
}

static void write_paragraph(struct out *out, const char *label, const char *text)
{
    if (!text)
        return;
    out_puts(out, "<p>");
    if (label)
        out_printf(out, "<b>%s</b> ", label);
    export_escape_xml(out, text);
    out_puts(out, "</p>\n");
}

static void write_steps(struct out *out, const char *label, const json_t *steps)
{
    size_t i;
    json_t *step;
    if (json_array_size(steps) == 0)
        return;
    out_printf(out, "<p><b>%s</b></p>\n<ol>\n", label);
    json_array_foreach((json_t *)(uintptr_t)steps, i, step) {
        const char *file = json_str(step, "file", NULL);
        out_puts(out, "<li>");
        export_escape_xml(out, json_is_string(step) ? json_string_value(step)
                                                    : json_str(step, "message", json_str(step, "function", "")));
        if (file) {
            out_puts(out, " <code>");
            export_escape_xml(out, file);
            out_printf(out, ":%lld</code>", (long long)json_i64(step, "line", 0));
        }
        if (json_str(step, "snippet", NULL)) {
            out_puts(out, "<br><code>");
            export_escape_xml(out, json_str(step, "snippet", ""));
            out_puts(out, "</code>");
        }
        out_puts(out, "</li>\n");
    }
    out_puts(out, "</ol>\n");
}

static void write_tags(struct out *out, const struct finding *f)
{
    out_puts(out, "<p><span class=\"tag\">");
    export_escape_xml(out, f->rule_id);
    out_printf(out, "</span><span class=\"tag\">confidence %s</span>", confidence_name(f->confidence));
    for (size_t i = 0; i < f->cwe_count; i++)
        out_printf(out, "<span class=\"tag\">CWE-%d</span>", f->cwe[i]);
    if (f->module) {
        out_puts(out, "<span class=\"tag\">");
        export_escape_xml(out, f->module);
        out_puts(out, "</span>");
    }
    out_puts(out, "</p>\n");
}

static void write_code(struct out *out, const char *label, const char *text)
{
    if (!text || !*text)
        return;
    out_printf(out, "<p><b>%s</b></p>\n<pre>", label);
    export_escape_xml(out, text);
    out_puts(out, "</pre>\n");
}

/* How to see it again, and what the program printed. */
static void write_reproduction(struct out *out, const struct finding *f)
{
    char said[CRASH_REPRODUCED_MAX];
    struct strbuf b = STRBUF_INIT;
    export_commands(&b, f);
    write_code(out, "To see it again", strbuf_str(&b));
    strbuf_release(&b);
    if (json_object_get(f->evidence, "tries"))
        out_printf(out, "<p>The crash: %s.</p>\n", crash_reproduced(json_i64(f->evidence, "reproduced", 0),
                                                                   json_i64(f->evidence, "tries", 0), said));
    write_code(out, "Report", json_str(f->evidence, "report", NULL));
}

/* open: unfolded. */
static void write_finding(struct out *out, const struct finding *f, bool open)
{
    const char *severity = severity_name(f->severity);
    struct strbuf place = STRBUF_INIT;
    export_place(&place, f);
    out_printf(out, "<details data-severity=\"%s\"%s%s>\n<summary><span class=\"sev %s\">%s</span> <span>", severity,
               f->suppressed || f->status == FINDING_ABSENT ? " class=\"muted\"" : "", open ? " open" : "", severity, severity);
    export_escape_xml(out, f->title);
    out_puts(out, f->suppressed ? " (suppressed)" : f->status == FINDING_ABSENT ? " (gone)"
                  : f->status == FINDING_UNCHANGED ? " (unchanged)" : "");
    out_puts(out, "</span><span class=\"place\">");
    export_escape_xml(out, strbuf_str(&place));
    out_puts(out, "</span></summary>\n<div class=\"body\">\n");
    write_tags(out, f);
    if (f->snippet) {
        out_puts(out, "<pre>");
        export_escape_xml(out, f->snippet);
        out_puts(out, "</pre>\n");
    }
    write_paragraph(out, NULL, f->description);
    write_paragraph(out, "What to do:", f->recommendation);
    write_steps(out, "How the data flows", json_object_get(f->evidence, "flow"));
    write_steps(out, "Stack", json_object_get(f->evidence, "stack"));
    write_reproduction(out, f);
    write_paragraph(out, "Suppressed:", f->suppressed ? f->suppression_reason : NULL);
    write_paragraph(out, "Fingerprint:", f->fingerprint);
    out_puts(out, "</div>\n</details>\n");
    strbuf_release(&place);
}

static void write_notice_items(struct out *out, const json_t *notices)
{
    size_t i;
    json_t *notice;
    json_array_foreach((json_t *)(uintptr_t)notices, i, notice) {
        const char *place = json_str(notice, "path", json_str(notice, "module", NULL));
        out_puts(out, "<li>");
        if (place) {
            out_puts(out, "<code>");
            export_escape_xml(out, place);
            out_puts(out, "</code> ");
        }
        export_escape_xml(out, json_str(notice, "text", ""));
        out_puts(out, "</li>\n");
    }
}

static void write_notices(struct out *out, const struct sarif_options *o)
{
    if (!o->failure && json_array_size(o->notices) + json_array_size(o->module_notices) == 0)
        return;
    out_puts(out, "<section class=\"notices\">\n<h2>Notices</h2>\n<ul>\n");
    if (o->failure) {
        out_puts(out, "<li><b>The run did not complete:</b> ");
        export_escape_xml(out, o->failure);
        out_puts(out, "</li>\n");
    }
    write_notice_items(out, o->module_notices);
    write_notice_items(out, o->notices);
    if (o->notices_left_out > 0)
        out_printf(out, "<li>and %lld more</li>\n", (long long)o->notices_left_out);
    out_puts(out, "</ul>\n</section>\n");
}

int export_html(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err)
{
    out_puts(out, head);
    out_puts(out, "<title>Findings");
    out_puts(out, o->target_name ? " in " : "");
    export_escape_xml(out, o->target_name);
    out_puts(out, "</title>\n");
    out_puts(out, style);
    out_puts(out, "</head>\n<body>\n<h1>Findings");
    out_puts(out, o->target_name ? " in " : "");
    export_escape_xml(out, o->target_name);
    out_puts(out, "</h1>\n");
    write_facts(out, o);
    write_bar(out, list);
    out_puts(out, "<main>\n");
    for (size_t i = 0; i < list->len && !out_failed(out); i++)
        write_finding(out, &list->v[i], false);
    out_puts(out, list->len ? "" : "<p>No findings.</p>\n");
    out_puts(out, "</main>\n");
    write_notices(out, o);
    out_puts(out, script);
    out_puts(out, "</body>\n</html>\n");
    return err_copy(err, &out->err);
}

void export_html_finding(const struct finding *f, struct out *out)
{
    out_puts(out, head);
    out_puts(out, "<title>");
    export_escape_xml(out, f->title);
    out_puts(out, "</title>\n");
    out_puts(out, style);
    out_puts(out, "</head>\n<body>\n<main>\n");
    write_finding(out, f, true);
    out_puts(out, "</main>\n</body>\n</html>\n");
}
