/* Fuzzing campaigns: statistics and crashes, as the former service had them. */
#include "api/rest/fuzzing.h"
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <string.h>

#define CRASHES_MAX 10000

/* A module of one's own says what it likes: what clients know keeps its type. */
static void take(json_t *stats, const char *key, json_t *v)
{
    const json_t *known = json_object_get(stats, key);
    bool number = json_is_number(known) || strcmp(key, "coverage") == 0;
    double n = json_number_value(v);
    if (json_is_integer(known) && json_is_real(v) && n >= 0 && n < 9e15)
        json_object_set_new(stats, key, json_integer((json_int_t)n));
    else if (!known || (number ? json_is_number(v) : json_is_string(v)))
        json_object_set(stats, key, v);
}

json_t *fuzzing_stats_of(const char *run_id, const char *workflow, const char *data)
{
    _cleanup_json_ json_t *last = NULL;
    json_t *j = json_pack("{s:s, s:s, s:i, s:f, s:i, s:i, s:n, s:i, s:i, s:n}", "run_id", run_id, "workflow", workflow,
                          "executions", 0, "executions_per_sec", 0.0, "crashes", 0, "unique_crashes", 0, "coverage",
                          "corpus_size", 0, "elapsed_time", 0, "last_crash_time");
    const char *key;
    json_t *v;
    if (!j || !data || json_parse(data, strlen(data), LIVE_DATA_MAX, &last, NULL) < 0)
        return j;
    json_object_foreach(last, key, v)
        if (strcmp(key, "run_id") != 0 && strcmp(key, "workflow") != 0)
            take(j, key, v);
    return j;
}

int do_fuzzing_stats(struct exchange *x, struct err *err)
{
    struct run_info run;
    _cleanup_free_ char *last = NULL;
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    r = live_stats(x->rest->o.live, exchange_key(x, run.run_id), &last, err);
    if (r == 0)
        r = reply_json(x, 200, fuzzing_stats_of(run.run_id, run.workflow, last), err);
    run_info_release(&run);
    return r;
}

int do_fuzzing_series(struct exchange *x, struct err *err)
{
    struct run_info run;
    json_t *points = NULL;
    int r = exchange_run(x, &run, err);
    if (r == 0) {
        r = live_series(x->rest->o.live, exchange_key(x, run.run_id), &points, err);
        run_info_release(&run);
    }
    return r < 0 ? r
                 : reply_json(x, 200, json_pack("{s:s, s:o}", "run_id", arg_text(x, "run_id"), "points", points), err);
}

/* A frame a line. NULL: there is none, or no memory. */
static json_t *stack_text(const json_t *stack)
{
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT_MAX(LIVE_DATA_MAX);
    size_t i;
    json_t *f;
    if (json_is_string(stack))
        return json_incref((json_t *)(uintptr_t)stack);
    json_array_foreach((json_t *)(uintptr_t)stack, i, f) {
        const char *text = json_string_value(f), *file = json_str(f, "file", NULL);
        strbuf_printf(&b, "%s%s", i ? "\n" : "", text ? text : json_str(f, "function", json_str(f, "message", "?")));
        if (file)
            strbuf_printf(&b, " %s:%lld", file, (long long)json_i64(f, "line", 0));
    }
    return b.len && !b.over ? json_string(strbuf_str(&b)) : NULL;
}

/* Clients know texts; the finding has the rest. */
static json_t *crash_of(json_t *f)
{
    const json_t *evidence = json_object_get(f, "evidence"), *input = json_object_get(evidence, "reproducer");
    const char *id = json_str(f, "fingerprint", json_str(f, "id", json_str(f, "rule_id", "")));
    return json_pack("{s:s, s:s?, s:s?, s:o?, s:s?, s:s, s:s?, s:s?, s:o}", "crash_id", id, "signal",
                     json_str(evidence, "signal", NULL), "crash_type", json_str(f, "title", NULL), "stack_trace",
                     stack_text(json_object_get(evidence, "stack")), "reproducer",
                     json_is_string(input) ? json_string_value(input) : json_str(input, "ref", NULL), "severity",
                     json_str(f, "severity", "medium"), "input_file", json_str(evidence, "input", NULL), "exploitability",
                     json_str(evidence, "exploitability", NULL), "finding", f);
}

json_t *fuzzing_crash_json(const char *run_id, const struct live_event *e)
{
    json_t *data = NULL;
    char at[32];
    if (json_parse(e->data, strlen(e->data), LIVE_DATA_MAX, &data, NULL) < 0 || !json_is_object(data)) {
        json_decref(data);
        return NULL;
    }
    if (!json_object_get(data, "crash_id"))
        data = crash_of(data);
    if (data && !json_str(data, "timestamp", NULL))
        json_object_set_new(data, "timestamp", json_string(os_format_time(e->at_ns, at)));
    if (data)
        json_object_set_new(data, "run_id", json_string(run_id));
    return data;
}

struct crashes {
    const char *run_id;
    json_t *list;
};

static int add_crash(void *arg, const struct live_event *e)
{
    struct crashes *c = arg;
    json_t *j = fuzzing_crash_json(c->run_id, e);
    if (j)
        json_array_append_new(c->list, j);
    return 0;
}

int do_fuzzing_crashes(struct exchange *x, struct err *err)
{
    struct run_info run;
    int64_t last;
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    struct crashes c = {run.run_id, json_array()};
    r = live_read(x->rest->o.live, exchange_key(x, run.run_id), 0, CRASHES_MAX, "crash", add_crash, &c, &last, err);
    run_info_release(&run);
    if (r < 0)
        json_decref(c.list);
    return r < 0 ? r : reply_json(x, 200, c.list, err);
}

static int post(struct exchange *x, const char *type, const char *message, struct err *err)
{
    struct run_info run;
    int r = exchange_run(x, &run, err);
    if (r == 0) {
        run_info_release(&run);
        r = body_json(x, err);
    }
    if (r == 0)
        r = live_post(x->rest->o.live, exchange_key(x, arg_text(x, "run_id")), type, x->json, err);
    return r < 0 ? r : reply_message(x, arg_text(x, "run_id"), "%s", message);
}

int do_post_stats(struct exchange *x, struct err *err)
{
    return post(x, "stats", "statistics taken", err);
}

int do_post_crash(struct exchange *x, struct err *err)
{
    return post(x, "crash", "crash taken", err);
}

int do_delete_fuzzing(struct exchange *x, struct err *err)
{
    struct run_info run;
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    r = live_forget(x->rest->o.live, exchange_key(x, run.run_id), false, err);
    run_info_release(&run);
    return r < 0 ? r : reply_message(x, arg_text(x, "run_id"), "Cleaned up fuzzing run %s", arg_text(x, "run_id"));
}
