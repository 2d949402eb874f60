/* JUnit XML as CI systems read it (the form of Apache Ant's junitreport): a suite a module, a failed case a finding. */
#include "base/cleanup.h"
#include "base/map.h"
#include "base/vec.h"
#include "codec/export_internal.h"

#include <string.h>

struct suite {
    const char *module;
    size_t failures, skipped;
};

struct suites {
    VEC(struct suite) list;
    struct map index; /* module -> position + 1 */
};

static const char *module_of(const struct finding *f)
{
    return f->module ? f->module : "fuzzforge";
}

static int count_suites(const struct findings *list, struct suites *s, struct err *err)
{
    for (size_t i = 0; i < list->len; i++) {
        const struct finding *f = &list->v[i];
        if (f->status == FINDING_ABSENT)
            continue;
        size_t position = (size_t)map_get(&s->index, module_of(f));
        if (!position) {
            if (!VEC_PUSH(&s->list, ((struct suite){.module = module_of(f)})))
                return err_nomem(err);
            position = s->list.len;
            if (!map_set(&s->index, module_of(f), (void *)position))
                return err_nomem(err);
        }
        if (f->suppressed)
            s->list.v[position - 1].skipped++;
        else
            s->list.v[position - 1].failures++;
    }
    return 0;
}

static void attribute(struct out *out, const char *name, const char *value)
{
    out_printf(out, " %s=\"", name);
    export_escape_xml(out, value);
    out_puts(out, "\"");
}

static void write_text(struct out *out, const struct finding *f)
{
    const char *const parts[] = {f->description, f->snippet, f->recommendation};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!parts[i])
            continue;
        export_escape_xml(out, parts[i]);
        out_puts(out, "\n\n");
    }
    out_puts(out, "rule: ");
    export_escape_xml(out, f->rule_id);
    out_printf(out, "\nseverity: %s\nconfidence: %s", severity_name(f->severity), confidence_name(f->confidence));
    for (size_t i = 0; i < f->cwe_count; i++)
        out_printf(out, "%sCWE-%d", i ? ", " : "\nweakness: ", f->cwe[i]);
    if (f->fingerprint)
        out_printf(out, "\nfingerprint: %s", f->fingerprint);
    out_puts(out, "\n");
}

static void write_case(struct out *out, const struct finding *f)
{
    struct strbuf name = STRBUF_INIT;
    export_place(&name, f);
    strbuf_printf(&name, "%s%s", name.len ? " " : "", f->title);
    out_puts(out, "    <testcase");
    attribute(out, "classname", f->rule_id);
    attribute(out, "name", strbuf_str(&name));
    if (f->file)
        attribute(out, "file", f->file);
    if (f->file && f->line)
        out_printf(out, " line=\"%d\"", f->line);
    if (f->suppressed) {
        out_puts(out, ">\n      <skipped");
        attribute(out, "message", f->suppression_reason ? f->suppression_reason : "suppressed");
        out_puts(out, "/>\n    </testcase>\n");
    } else {
        out_puts(out, ">\n      <failure");
        attribute(out, "type", severity_name(f->severity));
        attribute(out, "message", f->title);
        out_puts(out, ">");
        write_text(out, f);
        out_puts(out, "</failure>\n    </testcase>\n");
    }
    strbuf_release(&name);
}

static void write_suite(struct out *out, const struct findings *list, const struct suite *s, const char *started)
{
    out_puts(out, "  <testsuite");
    attribute(out, "name", s->module);
    out_printf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\"", s->failures + s->skipped,
               s->failures, s->skipped);
    if (*started)
        attribute(out, "timestamp", started);
    out_puts(out, ">\n");
    for (size_t i = 0; i < list->len && !out_failed(out); i++)
        if (list->v[i].status != FINDING_ABSENT && strcmp(module_of(&list->v[i]), s->module) == 0)
            write_case(out, &list->v[i]);
    out_puts(out, "  </testsuite>\n");
}

int export_junit(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err)
{
    struct suites s = {0};
    char started[32];
    size_t failures = 0, skipped = 0;
    int r = count_suites(list, &s, err);
    for (size_t i = 0; i < s.list.len; i++) {
        failures += s.list.v[i].failures;
        skipped += s.list.v[i].skipped;
    }
    export_time(o->started_ns, started);
    out_printf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"fuzzforge\" tests=\"%zu\" "
               "failures=\"%zu\" errors=\"0\" skipped=\"%zu\">\n",
               s.list.len ? failures + skipped : 1, failures, skipped);
    for (size_t i = 0; r == 0 && i < s.list.len; i++)
        write_suite(out, list, &s.list.v[i], started);
    if (s.list.len == 0) /* some readers take a file without cases for a broken one */
        out_puts(out, "  <testsuite name=\"fuzzforge\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\">\n"
                      "    <testcase classname=\"fuzzforge\" name=\"no findings\"/>\n  </testsuite>\n");
    out_puts(out, "</testsuites>\n");
    VEC_RELEASE(&s.list);
    map_release(&s.index);
    return r < 0 ? r : err_copy(err, &out->err);
}
