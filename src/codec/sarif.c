/* A SARIF file: one run a module, streamed, within the limits of receivers. */
#include "codec/sarif.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/sarif_internal.h"
#include "codec/uri.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define SCHEMA "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#define INFORMATION_URI "https://github.com/fuzzforge/fuzzforge"
#define NOTIFICATIONS_MAX 1000
#define GZIP_RESERVE ((uint64_t)512 << 10) /* for what follows the last result */

/* What of the list goes into one SARIF run. */
struct group {
    const char *module;
    const json_t *about; /* of options.modules, or NULL */
    VEC(const struct finding *) results;
    struct sarif_rules rules;
    size_t left_out;
};

struct writer {
    const struct sarif_options *o;
    VEC(struct group) groups;
    struct map by_module; /* module -> position + 1 */
    size_t folded;        /* modules that share the last run */
    struct out *out;      /* the caller's */
    struct out own;       /* in front of it: what is written is measured on the way */
    z_stream meter;
    bool metering;
    uint64_t gzip_bytes, gzip_max;
    size_t runs_max, results_max;
    struct sarif_stats stats;
};

/* --- the measure of the compressed size --- */

static int meter_begin(struct writer *w, struct err *err)
{
    if (deflateInit(&w->meter, Z_BEST_SPEED) != Z_OK)
        return err_nomem(err);
    w->metering = true;
    return 0;
}

static void meter_feed(struct writer *w, const char *data, size_t n, int flush)
{
    unsigned char sink[16384];
    w->meter.next_in = (unsigned char *)(uintptr_t)data;
    w->meter.avail_in = (unsigned)n;
    do {
        w->meter.next_out = sink;
        w->meter.avail_out = sizeof sink;
        (void)deflate(&w->meter, flush);
        w->gzip_bytes += sizeof sink - w->meter.avail_out;
    } while (w->meter.avail_out == 0);
}

static int write_measured(void *arg, const char *data, size_t n, struct err *err)
{
    struct writer *w = arg;
    meter_feed(w, data, n, Z_NO_FLUSH);
    out_append(w->out, data, n);
    return err_copy(err, &w->out->err);
}

/* May another result be written? What the meter and the buffers still hold is counted in full. */
static bool has_room(const struct writer *w)
{
    return w->gzip_bytes + w->own.buf.len + GZIP_RESERVE < w->gzip_max;
}

/* --- groups --- */

static const char *module_of(const struct finding *f)
{
    return f->module ? f->module : "fuzzforge";
}

/* The group of a module; when all runs are taken, the last one, which then holds several modules. */
static struct group *group_for(struct writer *w, const char *module, const json_t *about, struct err *err)
{
    size_t position = (size_t)map_get(&w->by_module, module);
    if (position)
        return &w->groups.v[position - 1];
    if (w->groups.len == w->runs_max) {
        w->folded++;
        position = w->groups.len;
    } else {
        struct group g = {.module = module, .about = about};
        if (!VEC_PUSH(&w->groups, g)) {
            err_nomem(err);
            return NULL;
        }
        position = w->groups.len;
    }
    if (!map_set(&w->by_module, module, (void *)position)) {
        err_nomem(err);
        return NULL;
    }
    return &w->groups.v[position - 1];
}

/* Of an entry of options.modules: an object with a name, or just that. */
static const char *name_of(const json_t *module)
{
    return json_is_string(module) ? json_string_value(module) : json_str(module, "name", NULL);
}

static const json_t *about_module(const struct sarif_options *o, const char *module)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)o->modules, i, one)
        if (name_of(one) && strcmp(name_of(one), module) == 0)
            return one;
    return NULL;
}

static int add_result(struct writer *w, const struct finding *f, struct err *err)
{
    const char *module = module_of(f);
    struct group *g = group_for(w, module, about_module(w->o, module), err);
    if (!g)
        return -ERR_NO_MEMORY;
    if (g->results.len == w->results_max) {
        g->left_out++;
        return 0;
    }
    if (!VEC_PUSH(&g->results, f))
        return err_nomem(err);
    return sarif_rules_add(&g->rules, f, err);
}

static int make_groups(struct writer *w, const struct findings *list, struct err *err)
{
    for (size_t i = 0; i < list->len; i++) {
        int r = add_result(w, &list->v[i], err);
        if (r < 0)
            return r;
    }
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)w->o->modules, i, one) { /* those that found nothing say so */
        const char *name = name_of(one);
        if (name && w->groups.len < w->runs_max && !group_for(w, name, one, err))
            return -ERR_NO_MEMORY;
    }
    if (w->groups.len == 0 && !group_for(w, "fuzzforge", NULL, err))
        return -ERR_NO_MEMORY;
    return 0;
}

/* --- the parts of a run --- */

static void write_tool(struct writer *w, const struct group *g)
{
    struct sarif_maker m = {0};
    json_t *driver = sarif_object(&m), *rules = sarif_array(&m);
    sarif_set_text(&m, driver, "name", g->module);
    sarif_set_text(&m, driver, "organization", "FuzzForge");
    sarif_set_text(&m, driver, "product", "FuzzForge");
    sarif_set_text(&m, driver, "version", json_str(g->about, "version", w->o->version));
    sarif_set_text(&m, driver, "informationUri", INFORMATION_URI);
    sarif_set_message(&m, driver, "fullDescription", json_str(g->about, "description", NULL));
    if (g->rules.cwe.len)
        sarif_set(&m, driver, "supportedTaxonomies", json_pack("[{s:s, s:i}]", "name", "CWE", "index", 0));
    for (size_t i = 0; i < g->rules.list.len; i++) {
        const struct sarif_rule *rule = &g->rules.list.v[i];
        sarif_push(&m, rules, sarif_rule_json(&g->rules, rule, json_object_get(w->o->rules, rule->sample->rule_id)));
    }
    sarif_set(&m, driver, "rules", rules);
    out_puts(&w->own, "\"tool\":{\"driver\":");
    out_json(&w->own, sarif_made(&m, driver));
    out_puts(&w->own, "}");
}

static json_t *base_ids(const struct sarif_options *o)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m), *root = sarif_object(&m);
    if (o->root && o->root[0] == '/') {
        struct strbuf uri = STRBUF_INIT;
        strbuf_puts(&uri, "file://");
        uri_append_path(&uri, o->root);
        if (uri.len && uri.s[uri.len - 1] != '/')
            strbuf_putc(&uri, '/');
        m.failed |= strbuf_check(&uri, NULL) < 0;
        sarif_set_text(&m, root, "uri", strbuf_str(&uri));
        strbuf_release(&uri);
    }
    sarif_set_message(&m, root, "description", "The root of the target");
    sarif_set(&m, j, SARIF_ROOT, root);
    return sarif_made(&m, j);
}

static json_t *automation(const struct writer *w, const struct group *g)
{
    struct sarif_maker m = {0};
    const struct sarif_options *o = w->o;
    _cleanup_free_ char *id = mem_printf("fuzzforge/%s/%s/%s", o->workflow ? o->workflow : "run", g->module,
                                         o->run_id ? o->run_id : "");
    json_t *j = sarif_object(&m);
    m.failed |= !id;
    sarif_set_text(&m, j, "id", id);
    return sarif_made(&m, j);
}

static json_t *provenance(const json_t *vcs)
{
    struct sarif_maker m = {0};
    json_t *list = sarif_array(&m), *one = sarif_object(&m);
    sarif_set_text(&m, one, "repositoryUri", json_str(vcs, "repository_uri", NULL));
    sarif_set_text(&m, one, "revisionId", json_str(vcs, "revision", NULL));
    sarif_set_text(&m, one, "branch", json_str(vcs, "branch", NULL));
    sarif_push(&m, list, one);
    return sarif_made(&m, list);
}

static json_t *run_properties(const struct sarif_options *o)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m);
    sarif_set_text(&m, j, "run_id", o->run_id);
    sarif_set_text(&m, j, "workflow", o->workflow);
    sarif_set_text(&m, j, "target", o->target_name);
    return sarif_made(&m, j);
}

static void write_facts(struct writer *w, const struct group *g)
{
    out_puts(&w->own, ",\"columnKind\":\"utf16CodeUnits\",\"automationDetails\":");
    out_json(&w->own, automation(w, g));
    out_puts(&w->own, ",\"originalUriBaseIds\":");
    out_json(&w->own, base_ids(w->o));
    if (json_str(w->o->vcs, "repository_uri", NULL)) {
        out_puts(&w->own, ",\"versionControlProvenance\":");
        out_json(&w->own, provenance(w->o->vcs));
    }
    if (g->rules.cwe.len) {
        out_puts(&w->own, ",\"taxonomies\":");
        out_json(&w->own, sarif_taxonomy_json(&g->rules));
    }
    out_puts(&w->own, ",\"properties\":");
    out_json(&w->own, run_properties(w->o));
}

static void write_results(struct writer *w, struct group *g)
{
    out_puts(&w->own, ",\"results\":[");
    size_t i = 0;
    for (; i < g->results.len && has_room(w) && !out_failed(&w->own); i++) {
        out_puts(&w->own, i ? ",\n" : "\n");
        out_json(&w->own, sarif_result_json(&g->rules, g->results.v[i], w->o));
    }
    g->left_out += g->results.len - i;
    w->stats.results += i;
    w->stats.left_out += g->left_out;
    out_puts(&w->own, "]");
}

/* --- notifications --- */

static json_t *notification(const char *level, const char *id, const char *text, const char *file)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m), *descriptor = sarif_object(&m);
    sarif_set_text(&m, descriptor, "id", id);
    sarif_set(&m, j, "descriptor", descriptor);
    sarif_set_text(&m, j, "level", level);
    sarif_set_message(&m, j, "message", text);
    if (file) {
        json_t *locations = sarif_array(&m);
        sarif_push(&m, locations, sarif_location_json(file, 0, 0, 0, 0, NULL, NULL));
        sarif_set(&m, j, "locations", locations);
    }
    return sarif_made(&m, j);
}

static void push_left_out(struct sarif_maker *m, json_t *list, const char *id, const char *fmt, size_t n)
{
    char text[200];
    if (n == 0)
        return;
    snprintf(text, sizeof text, fmt, n);
    sarif_push(m, list, notification("warning", id, text, NULL));
}

/* Does the notice belong to this run? Those of no module go to the first. */
static bool notice_of(const struct writer *w, const struct group *g, const json_t *notice)
{
    const char *module = json_str(notice, "module", NULL);
    size_t position = module ? (size_t)map_get(&w->by_module, module) : 0;
    return &w->groups.v[position ? position - 1 : 0] == g;
}

/* Adds those of the notices that belong to the run; *ret_more counts what has no room. */
static void push_notices(struct sarif_maker *m, json_t *list, const struct writer *w, const struct group *g,
                         const json_t *notices, size_t *ret_more)
{
    size_t i;
    json_t *notice;
    json_array_foreach((json_t *)(uintptr_t)notices, i, notice) {
        if (!notice_of(w, g, notice))
            continue;
        if (json_array_size(list) >= NOTIFICATIONS_MAX) {
            ++*ret_more;
            continue;
        }
        const char *level = json_str(notice, "level", "warning");
        bool known = strcmp(level, "error") == 0 || strcmp(level, "note") == 0;
        sarif_push(m, list, notification(known ? level : "warning", json_str(notice, "kind", "notice"),
                                         json_str(notice, "text", ""), json_str(notice, "path", NULL)));
    }
}

static json_t *notifications(const struct writer *w, const struct group *g)
{
    struct sarif_maker m = {0};
    json_t *list = sarif_array(&m);
    size_t more = 0;
    bool first = g == w->groups.v;
    if (first && w->o->failure)
        sarif_push(&m, list, notification("error", "run/failed", w->o->failure, NULL));
    push_left_out(&m, list, "report/results-left-out",
                  "%zu results, the least severe ones, are left out of this file to keep it within the limits of its "
                  "receivers", g->left_out);
    push_left_out(&m, list, "report/runs-joined",
                  "%zu more modules share the last run of this file to keep it within the limits of its receivers",
                  first ? w->folded : 0);
    push_notices(&m, list, w, g, w->o->module_notices, &more);
    push_notices(&m, list, w, g, w->o->notices, &more);
    if (first && w->o->notices_left_out > 0)
        more += (size_t)w->o->notices_left_out;
    push_left_out(&m, list, "report/notices-left-out", "%zu more notices are left out", more);
    return sarif_made(&m, list);
}

/* "2026-11-23T12:47:32.123Z" */
static void set_time(struct sarif_maker *m, json_t *j, const char *key, int64_t ns)
{
    char text[64];
    struct tm tm;
    time_t s = (time_t)(ns / NS_PER_S);
    if (ns <= 0 || !gmtime_r(&s, &tm))
        return;
    size_t n = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ", (int)(ns % NS_PER_S / NS_PER_MS));
    sarif_set_text(m, j, key, text);
}

static void write_invocation(struct writer *w, const struct group *g)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m);
    sarif_set(&m, j, "executionSuccessful", json_boolean(w->o->successful));
    set_time(&m, j, "startTimeUtc", w->o->started_ns);
    set_time(&m, j, "endTimeUtc", w->o->finished_ns);
    sarif_set(&m, j, "toolExecutionNotifications", notifications(w, g));
    out_puts(&w->own, ",\"invocations\":[");
    out_json(&w->own, sarif_made(&m, j));
    out_puts(&w->own, "]");
}

/* --- the whole --- */

static void write_file(struct writer *w)
{
    out_puts(&w->own, "{\"$schema\":\"" SCHEMA "\",\"version\":\"2.1.0\",\"runs\":[");
    for (size_t i = 0; i < w->groups.len; i++) {
        out_puts(&w->own, i ? ",\n{" : "\n{");
        write_tool(w, &w->groups.v[i]);
        write_facts(w, &w->groups.v[i]);
        write_results(w, &w->groups.v[i]);
        write_invocation(w, &w->groups.v[i]);
        out_puts(&w->own, "}");
    }
    out_puts(&w->own, "]}\n");
}

static void writer_release(struct writer *w)
{
    VEC_EACH(&w->groups, g) {
        VEC_RELEASE(&g->results);
        sarif_rules_release(&g->rules);
    }
    VEC_RELEASE(&w->groups);
    map_release(&w->by_module);
    if (w->metering)
        deflateEnd(&w->meter);
}

int sarif_stream(const struct findings *list, const struct sarif_options *o, struct out *out,
                 struct sarif_stats *ret, struct err *err)
{
    struct writer w = {
        .o = o,
        .out = out,
        .gzip_max = o->gzip_max ? o->gzip_max : SARIF_GZIP_MAX,
        .runs_max = o->runs_max ? o->runs_max : SARIF_RUNS_MAX,
        .results_max = o->results_max ? o->results_max : SARIF_RESULTS_MAX,
    };
    int r = make_groups(&w, list, err);
    if (r == 0)
        r = meter_begin(&w, err);
    if (r == 0) {
        out_init(&w.own, write_measured, &w);
        write_file(&w);
        r = out_finish(&w.own, err);
        meter_feed(&w, "", 0, Z_FINISH);
        w.stats.runs = w.groups.len;
        w.stats.gzip_bytes = w.gzip_bytes;
    }
    writer_release(&w);
    if (ret)
        *ret = w.stats;
    return r;
}

int sarif_write(const struct findings *list, const struct sarif_options *o, struct strbuf *buf, struct err *err)
{
    struct out out;
    out_init_strbuf(&out, buf);
    int r = sarif_stream(list, o, &out, NULL, err);
    int e = out_finish(&out, r < 0 ? NULL : err);
    return r < 0 ? r : e;
}
