/* Tools about what runs found and left behind. */
#include "api/mcp/mcp_internal.h"
#include "api/mcp/visible.h"

#include "api/rest/fuzzing.h"
#include "api/service/artifacts.h"
#include "api/service/objects.h"
#include "api/service/run_list.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define TOP 10
#define CRASHES_MAX 10000
#define ARTIFACT_MAX ((size_t)256 << 20)

/* A run that has ended, with its findings. */
static int open_run(struct mcp_call *c, const json_t *args, struct run_list *ret, struct err *err)
{
    return run_list_open(&c->s->service, json_str(args, "run_id", NULL), ret, err);
}

/* A place in a list of a run's: of that execution as it was, and with those arguments. */
struct place {
    uint64_t at, list;
};

static uint64_t list_of(const json_t *args, const struct run_info *run)
{
    _cleanup_json_ json_t *asked = json_copy((json_t *)(uintptr_t)args);
    json_object_del(asked, "cursor");
    json_object_del(asked, "limit");
    _cleanup_free_ char *text = asked ? json_dumps(asked, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    uint64_t h = XXH3_64bits_withSeed(run->execution_id, strlen(run->execution_id), run->closed);
    return text ? XXH3_64bits_withSeed(text, strlen(text), h) : h;
}

static json_t *place_write(char list, const json_t *args, const struct run_info *run, size_t at)
{
    struct place p = {at, list_of(args, run)};
    return cursor_bytes(list, &p, sizeof p);
}

/* -ERR_INVALID: it is of another list. */
static int place_read(char list, const json_t *args, const struct run_info *run, size_t *ret, struct err *err)
{
    const char *cursor = json_str(args, "cursor", NULL);
    _cleanup_free_ uint8_t *bytes = NULL;
    struct place p = {0, list_of(args, run)}, was = p;
    size_t n;
    int r = cursor_read_bytes(list, cursor, &bytes, &n, err);
    if (r < 0)
        return r;
    if (bytes && n == sizeof was)
        memcpy(&was, bytes, n);
    if (bytes && (n != sizeof was || was.list != p.list))
        return err_set(err, ERR_INVALID, "the cursor was given for other arguments, or the run has ended or begun again since");
    *ret = was.at;
    return 0;
}

/* --- summary -------------------------------------------------------------------------------------------------------------- */

static void count_up(json_t *counts, const char *key)
{
    if (key)
        json_object_set_new(counts, key, json_integer(json_i64(counts, key, 0) + 1));
}

static json_t *short_finding(const struct finding *f)
{
    return json_pack("{s:s?, s:s?, s:s?, s:s, s:s?, s:i}", "id", f->id, "rule_id", f->rule_id, "title", f->title, "severity",
                     severity_name(f->severity), "file", f->file, "line", f->line);
}

int tool_summary(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct run_info run;
    struct findings f = {0};
    struct gate_verdict v;
    struct err why = {0};
    int r = mcp_run(c, json_str(args, "run_id", ""), &run, err);
    if (r < 0)
        return r;
    if (run.closed && run_findings(&c->s->service, &run, &f, &why) < 0) {
        *ret = run_document_without(&run, &why);
        json_object_del(*ret, "findings");
        json_object_set_new(*ret, "total", json_null());
    } else {
        gate_judge(&run, &f, &v);
        json_t *j = run_document(&run, run.closed ? &f : NULL, run.closed ? &v : NULL);
        json_t *rules = json_object(), *modules = json_object(), *top = json_array();
        size_t total = 0;
        for (size_t i = 0; i < f.len; i++) {
            if (f.v[i].suppressed || f.v[i].status == FINDING_ABSENT)
                continue;
            total++;
            count_up(rules, f.v[i].rule_id);
            count_up(modules, f.v[i].module);
            if (json_array_size(top) < TOP)
                json_array_append_new(top, short_finding(&f.v[i]));
        }
        json_object_del(j, "findings");
        json_object_set_new(j, "total", json_integer((json_int_t)total));
        json_object_set_new(j, "by_rule", rules);
        json_object_set_new(j, "by_module", modules);
        json_object_set_new(j, "top", top);
        *ret = j;
    }
    findings_release(&f);
    run_info_release(&run);
    return r;
}

/* --- findings ------------------------------------------------------------------------------------------------------------- */

int tool_findings(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct run_list l = {0};
    struct findings_filter filter = FINDINGS_FILTER_INIT;
    const char *severity = json_str(args, "severity", NULL);
    size_t from = 0, limit = (size_t)json_i64(args, "limit", 50);
    filter.rule = json_str(args, "rule", NULL);
    filter.path = json_str(args, "path", NULL);
    filter.module = json_str(args, "module", NULL);
    int r = severity ? findings_filter_severity(&filter, severity, err) : 0;
    if (r == 0)
        r = open_run(c, args, &l, err);
    if (r < 0)
        return r;
    r = place_read('f', args, &l.run, &from, err);
    if (r < 0) {
        run_list_release(&l);
        return r;
    }
    findings_filter(&filter, &l.list);
    json_t *list = json_array();
    size_t end = from;
    for (; end < l.list.len && end - from < limit; end++)
        json_array_append_new(list, finding_to_json(&l.list.v[end]));
    *ret = json_pack("{s:s, s:s, s:I, s:o, s:o}", "run_id", l.run.run_id, "workflow", l.run.workflow, "total",
                     (json_int_t)l.list.len,
                     "findings", list, "next_cursor", end < l.list.len ? place_write('f', args, &l.run, end) : json_null());
    run_list_release(&l);
    return 0;
}

/* What the reader of a finding needs beside it. */
static json_t *explanation(const struct run_info *run, const struct finding *f)
{
    char where[600], show[200], suppress[200];
    _cleanup_json_ json_t *cwe = json_array();
    for (size_t i = 0; i < f->cwe_count; i++) {
        char url[100];
        snprintf(url, sizeof url, "https://cwe.mitre.org/data/definitions/%d.html", f->cwe[i]);
        json_array_append_new(cwe, json_string(url));
    }
    snprintf(where, sizeof where, "%.500s%s", f->file ? f->file : "(no file)", f->line ? "" : " (no line)");
    snprintf(show, sizeof show, "ff finding %s", f->id ? f->id : "");
    snprintf(suppress, sizeof suppress, "ff:ignore[%.150s] reason", f->rule_id);
    return json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:O, s:o, s:O?, s:s, s:s, s:b}", "rule", f->rule_id, "meaning",
                     f->description,
                     "how_to_mend", f->recommendation, "confidence", confidence_name(f->confidence), "where", where,
                         "references", cwe,
                     "run_status", json_string(run->status), "evidence", f->evidence, "show", show, "suppress_with_a_comment",
                         suppress,
                     "suppressed", f->suppressed);
}

int tool_explain(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct run_list l = {0};
    size_t at;
    _cleanup_free_ char *run_id = NULL;
    const char *run = json_str(args, "run_id", NULL);
    int r = run ? run_resolve(&c->s->service, run, &run_id, err) : 0;
    if (r == 0)
        r = run_list_find(&c->s->service, run_id, json_str(args, "finding_id", ""), &l, &at, err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:o, s:o}", "run_id", l.run.run_id, "finding", finding_to_json(&l.list.v[at]), "explanation",
                     explanation(&l.run, &l.list.v[at]));
    run_list_release(&l);
    return 0;
}

/* --- fuzzing -------------------------------------------------------------------------------------------------------------- */

static json_t *crash_json(const struct finding *f)
{
    json_t *j = finding_to_json(f);
    json_object_set_new(j, "crash_id", json_string(f->fingerprint ? f->fingerprint : f->id ? f->id : ""));
    json_object_set(j, "stack_trace", json_object_get(f->evidence, "stack"));
    json_object_set(j, "reproducer", json_object_get(f->evidence, "reproducer"));
    return j;
}

struct reported {
    const char *run_id;
    json_t *list;
};

static int add_reported(void *arg, const struct live_event *e)
{
    struct reported *r = arg;
    json_t *j = fuzzing_crash_json(r->run_id, e);
    return j ? json_array_append_new(r->list, j) : 0;
}

/* What has been reported so far of a run that goes on. */
static int read_reported(struct mcp_call *c, const char *run_id, json_t *list, struct err *err)
{
    char key[LIVE_KEY_MAX];
    int64_t last;
    struct reported r = {run_id, list};
    struct live *live = c->s->mcp->o.live;
    live_key(c->s->service.name_space, run_id, key);
    return live ? live_read(live, key, 0, CRASHES_MAX, "crash", add_reported, &r, &last, err) : 0;
}

static int read_found(struct mcp_call *c, const struct run_info *run, json_t *list, struct err *err)
{
    struct findings f = {0};
    int r = run_findings(&c->s->service, run, &f, err);
    for (size_t i = 0; r == 0 && i < f.len && json_array_size(list) < CRASHES_MAX; i++)
        if (live_is_crash(f.v[i].rule_id, f.v[i].evidence))
            json_array_append_new(list, crash_json(&f.v[i]));
    findings_release(&f);
    return r;
}

int tool_crashes(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct run_info run;
    size_t from = 0, limit = (size_t)json_i64(args, "limit", 50);
    _cleanup_json_ json_t *all = json_array();
    int r = mcp_run(c, json_str(args, "run_id", ""), &run, err);
    if (r < 0)
        return r;
    r = place_read('c', args, &run, &from, err);
    if (r == 0)
        r = run.closed ? read_found(c, &run, all, err) : read_reported(c, run.run_id, all, err);
    if (r < 0) {
        run_info_release(&run);
        return r;
    }
    json_t *page = json_array();
    size_t total = json_array_size(all);
    for (size_t i = from; i < total && i - from < limit; i++)
        json_array_append(page, json_array_get(all, i));
    *ret = json_pack("{s:s, s:I, s:o, s:o}", "run_id", run.run_id, "total", (json_int_t)total, "crashes", page, "next_cursor",
                     from + limit < total ? place_write('c', args, &run, from + limit) : json_null());
    run_info_release(&run);
    return r;
}

/* The numbers of an object that the statistics know. */
static void take_numbers(json_t *stats, const json_t *from)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)from, key, v)
        if (json_object_get(stats, key) && json_is_number(v))
            json_object_set(stats, key, v);
}

/* What was reported last: in the events, by the activities that run, or in the run's summary. */
int tool_fuzzing_stats(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct run_info run;
    char key[LIVE_KEY_MAX];
    _cleanup_free_ char *last = NULL;
    struct live *live = c->s->mcp->o.live;
    size_t i;
    json_t *activity;
    int r = mcp_run(c, json_str(args, "run_id", ""), &run, err);
    if (r < 0)
        return r;
    if (live)
        r = live_stats(live, live_key(c->s->service.name_space, run.run_id, key), &last, err);
    json_t *j = r == 0 ? fuzzing_stats_of(run.run_id, run.workflow, last) : NULL;
    if (j && !last)
        take_numbers(j, json_object_get(run.result, "summary"));
    json_array_foreach(run.activities, i, activity)
        take_numbers(j, json_object_get(activity, "stats"));
    run_info_release(&run);
    *ret = j;
    return r;
}

/* --- artifacts ------------------------------------------------------------------------------------------------------------ */

int mcp_artifacts(struct mcp_call *c, const char *run_id, char **ret_id, json_t **ret, struct err *err)
{
    int r = run_resolve(&c->s->service, run_id, ret_id, err);
    return r < 0 ? r : run_artifacts(&c->s->service, *ret_id, ret, err);
}

static json_t *piece(const json_t *artifact, const char *bytes, size_t len, size_t offset, size_t length)
{
    size_t n = offset < len ? len - offset : 0;
    n = n < length ? n : length;
    bool text = utf8_valid(bytes + (n ? offset : 0), n) && !memchr(bytes + (n ? offset : 0), 0, n);
    return json_pack("{s:O, s:s, s:I, s:I, s:s, s:o, s:b}", "name", json_object_get(artifact, "name"), "media_type",
                     json_str(artifact, "media_type", "application/octet-stream"), "bytes", (json_int_t)len, "offset",
                     (json_int_t)offset, "encoding", text ? "utf-8" : "base64", "data",
                     text ? json_stringn(bytes + (n ? offset : 0), n) : json_base64(bytes + offset, n), "more",
                         offset + n < len);
}

/* By the name that it has, or as that was shown. */
static bool is_called(const json_t *artifact, const char *name)
{
    const char *own = json_str(artifact, "name", "");
    _cleanup_(strbuf_release) struct strbuf shown = STRBUF_INIT;
    visible_append(&shown, own, strlen(own));
    return strcmp(own, name) == 0 || strcmp(strbuf_str(&shown), name) == 0;
}

int tool_artifact(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *list = NULL;
    const char *run_id = json_str(args, "run_id", ""), *name = json_str(args, "name", NULL);
    const json_t *found = NULL;
    size_t i, len;
    json_t *a;
    _cleanup_free_ char *id = NULL, *bytes = NULL;
    int r = mcp_artifacts(c, run_id, &id, &list, err);
    if (r < 0)
        return r;
    if (!name) {
        *ret = json_pack("{s:s, s:O}", "run_id", run_id, "artifacts", list);
        return 0;
    }
    json_array_foreach(list, i, a)
        if (is_called(a, name))
            found = a;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the run has no artifact '%.200s'", name);
    r = object_of_run(&c->s->service, id, json_str(found, "ref", ""), err);
    if (r == 0)
        r = store_get(c->s->service.store, json_str(found, "ref", ""), ARTIFACT_MAX, &bytes, &len, err);
    if (r < 0)
        return r;
    *ret = piece(found, bytes, len, (size_t)json_i64(args, "offset", 0), (size_t)json_i64(args, "length", 65536));
    json_object_set_new(*ret, "run_id", json_string(run_id));
    return 0;
}
