/* Runs: what they are, and what changes them. */
#include "api/rest/rest_internal.h"

#include "api/service/artifacts.h"
#include "api/service/control.h"
#include "api/service/objects.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbjson.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <string.h>

#define CURSOR_RUNS 1

static const struct service *svc(const struct exchange *x)
{
    return &x->svc;
}

int exchange_run(struct exchange *x, struct run_info *ret, struct err *err)
{
    int r = run_read(svc(x), arg_text(x, "run_id"), ret, err);
    if (r == -ERR_NOT_FOUND)
        x->error_type = "RunNotFound";
    return r;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static void add_run(void *arg, const struct run_item *item)
{
    json_array_append_new(arg, run_item_json(item));
}

int do_list_runs(struct exchange *x, struct err *err)
{
    const char *cursor = arg_text(x, "cursor");
    struct strbuf filter = STRBUF_INIT_MAX(8192);
    ProtobufCBinaryData token = {0};
    _cleanup_json_ json_t *list = json_array();
    _cleanup_free_ char *next = NULL;
    int r = runs_filter(arg_text(x, "status"), arg_text(x, "workflow_name"), arg_text(x, "run_query"), &filter, err);
    if (r == 0 && cursor)
        r = cursor_read(CURSOR_RUNS, cursor, &token.data, &token.len, err);
    if (r == 0)
        r = runs_list_current(svc(x), strbuf_str(&filter), (size_t)arg_number(x, "limit", 50), &token, add_run, list, err);
    if (r == -ERR_INVALID && arg_text(x, "run_query")) { /* as a schema sees it, any text is a filter */
        x->error_status = 404;
        x->error_type = "FilterNotUnderstood";
    } else if (r == -ERR_INVALID && cursor) {
        err->code = ERR_NOT_FOUND;
        r = -ERR_NOT_FOUND;
    }
    if (r == 0 && token.len && !(next = cursor_write(CURSOR_RUNS, token.data, token.len)))
        r = err_nomem(err);
    free(token.data);
    strbuf_release(&filter);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:O, s:s?}", "runs", list, "next_cursor", next), err);
}

int do_run_status(struct exchange *x, struct err *err)
{
    struct run_info run;
    char created[32], updated[32];
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    bool completed = strcmp(run.status, "COMPLETED") == 0;
    os_format_time(run.started_ns, created);
    os_format_time(run.finished_ns ? run.finished_ns : run.started_ns, updated);
    r = reply_json(x, 200,
                   json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:s}", "run_id", run.run_id, "workflow", run.workflow, "status",
                             run.status, "is_completed", completed, "is_failed", run.closed && !completed, "is_running",
                             !run.closed, "created_at", created, "updated_at", updated),
                   err);
    if (r == 0)
        status_keep(x->rest, exchange_key(x, run.run_id), x->answer.text, x->answer.len);
    run_info_release(&run);
    return r;
}

/* The document of a run; counted: with counts and verdict, which need its findings. */
static int show(struct exchange *x, bool counted, struct err *err)
{
    struct run_info run;
    struct findings f = {0};
    struct gate_verdict v;
    struct err why = {0};
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    counted = counted && run.closed;
    bool lost = counted && run_findings(svc(x), &run, &f, &why) < 0;
    if (counted && !lost)
        gate_judge(&run, &f, &v);
    json_t *doc = lost ? run_document_without(&run, &why) : run_document(&run, counted ? &f : NULL, counted ? &v : NULL);
    if (doc)
        json_object_del(doc, "findings");
    if (doc) { /* how it is judged; a file of the owner's is nobody's business */
        json_t *options = gate_options_json(&run.gate);
        json_object_del(options, "export_sarif");
        if (run.gate.baseline && run.gate.baseline[0] == '/')
            json_object_set_new(options, "baseline", json_string("(a file)"));
        json_object_set_new(doc, "options", options);
    }
    if (doc && !counted) {
        json_object_del(doc, "findings_count");
        json_object_del(doc, "suppressed_count");
    }
    findings_release(&f);
    run_info_release(&run);
    return reply_json(x, 200, doc, err);
}

int do_show_run(struct exchange *x, struct err *err)
{
    return show(x, false, err);
}

int do_run_summary(struct exchange *x, struct err *err)
{
    return show(x, true, err);
}

int do_resolve_run(struct exchange *x, struct err *err)
{
    _cleanup_free_ char *id = NULL;
    int r = run_resolve(svc(x), arg_text(x, "run_id"), &id, err);
    if (r == -ERR_NOT_FOUND)
        x->error_type = "RunNotFound";
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:s}", "run_id", id), err);
}

static int query(struct exchange *x, const json_t *value, struct err *err)
{
    struct run_info run;
    json_t *answer = NULL;
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    r = run_query(svc(x), run.run_id, arg_text(x, "name"), value, &answer, err);
    run_info_release(&run);
    if (r == -ERR_INVALID || r == -ERR_USAGE || r == -ERR_FAILED) {
        x->error_status = 404; /* the script has no such query, or its own is at fault */
        x->error_type = "QueryFailed";
    }
    return r < 0 ? r : reply_json(x, 200, answer, err);
}

int do_query_run(struct exchange *x, struct err *err)
{
    return query(x, NULL, err);
}

int do_query_run_with(struct exchange *x, struct err *err)
{
    _cleanup_json_ json_t *value = NULL;
    int r = body_json(x, err);
    const char *text = json_str(x->json, "value", "");
    if (r == 0 && json_parse(text, strlen(text), JSON_BODY_MAX, &value, NULL) < 0 && !(value = json_string(text)))
        r = err_nomem(err);
    return r < 0 ? r : query(x, value, err);
}

struct page {
    json_t *list;
    size_t limit;
    int64_t after, last;
    bool more;
};

static int add_history(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    struct page *p = arg;
    if (json_array_size(p->list) == p->limit) {
        p->more = true;
        return 1;
    }
    p->last = e->event_id;
    return json_array_append_new(p->list, pbjson_encode(&e->base)) < 0 ? err_nomem(err) : 0;
}

static int reply_page(struct exchange *x, struct page *p, struct err *err)
{
    return reply_json(x, 200,
                      json_pack("{s:O, s:o}", "events", p->list, "next_after", p->more ? json_integer(p->last) : json_null()),
                      err);
}

int do_run_history(struct exchange *x, struct err *err)
{
    struct run_info run;
    _cleanup_json_ json_t *list = json_array();
    struct page p = {.list = list, .limit = (size_t)arg_number(x, "limit", 200), .after = arg_number(x, "after", 0)};
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    r = run_each_event(svc(x), run.run_id, p.after + 1, add_history, &p, err);
    run_info_release(&run);
    return r < 0 ? r : reply_page(x, &p, err);
}

static int add_log(void *arg, const struct live_event *e)
{
    struct page *p = arg;
    json_t *data = NULL;
    char at[32];
    if (json_array_size(p->list) == p->limit) {
        p->more = true;
        return -1;
    }
    p->last = e->seq;
    json_parse(e->data, strlen(e->data), LIVE_DATA_MAX, &data, NULL);
    json_array_append_new(p->list, json_pack("{s:I, s:s, s:s, s:o?}", "id", (json_int_t)e->seq, "at",
                                             os_format_time(e->at_ns, at), "type", e->type, "data", data));
    return 0;
}

int do_run_log(struct exchange *x, struct err *err)
{
    struct run_info run;
    int64_t last;
    _cleanup_json_ json_t *list = json_array();
    struct page p = {.list = list, .limit = (size_t)arg_number(x, "limit", 200), .after = arg_number(x, "after", 0)};
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    const char *types = arg_text(x, "events") ? arg_text(x, "events") : "log";
    r = live_read(x->rest->o.live, exchange_key(x, run.run_id), p.after, p.limit + 1, strcmp(types, "all") == 0 ? NULL : types,
                  add_log, &p, &last, err);
    run_info_release(&run);
    return r < 0 ? r : reply_page(x, &p, err);
}

/* --- artifacts ------------------------------------------------------------------------------------------------------- */

static int read_artifacts(struct exchange *x, struct run_info *run, json_t **ret, struct err *err)
{
    int r = exchange_run(x, run, err);
    return r < 0 ? r : run_artifacts(svc(x), run->run_id, ret, err);
}

int do_list_artifacts(struct exchange *x, struct err *err)
{
    struct run_info run = {0};
    json_t *list = NULL;
    int r = read_artifacts(x, &run, &list, err);
    run_info_release(&run);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:o}", "artifacts", list), err);
}

/* The last one of that name. */
int do_get_artifact(struct exchange *x, struct err *err)
{
    _cleanup_(run_info_release) struct run_info run = {0};
    _cleanup_json_ json_t *list = NULL;
    const char *name = arg_text(x, "name"), *ref = NULL;
    size_t i;
    json_t *a;
    int r = read_artifacts(x, &run, &list, err);
    if (r < 0)
        return r;
    json_array_foreach(list, i, a)
        if (strcmp(json_str(a, "name", ""), name) == 0)
            ref = json_str(a, "ref", NULL);
    if (!ref) {
        x->error_type = "ArtifactNotFound";
        return err_set(err, ERR_NOT_FOUND, "the run has no artifact '%s'", name);
    }
    r = object_of_run(svc(x), run.run_id, ref, err);
    return r < 0 ? r : reply_object(x, ref, err);
}

/* --- changing --------------------------------------------------------------------------------------------------------- */

static bool has_ended(const struct exchange *x)
{
    struct run_info run;
    if (run_read(svc(x), arg_text(x, "run_id"), &run, NULL) < 0)
        return false;
    bool closed = run.closed;
    run_info_release(&run);
    return closed;
}

static int changed(struct exchange *x, int r, const char *message, struct err *err)
{
    const char *id = arg_text(x, "run_id");
    status_forget(x->rest, exchange_key(x, id));
    if (r == -ERR_NOT_FOUND && has_ended(x)) { /* an engine does not tell them apart */
        x->error_status = 409;
        x->error_type = "RunEnded";
    } else if (r == -ERR_NOT_FOUND) {
        x->error_type = "RunNotFound";
    }
    return r < 0 ? r : reply_message(x, id, "%s", message);
}

int do_cancel_run(struct exchange *x, struct err *err)
{
    if (has_ended(x)) /* nothing is requested, and nothing is wrong */
        return changed(x, 0, "the run has ended already", err);
    return changed(x, run_cancel(svc(x), arg_text(x, "run_id"), arg_text(x, "reason"), err), "cancellation requested", err);
}

int do_terminate_run(struct exchange *x, struct err *err)
{
    return changed(x, run_terminate(svc(x), arg_text(x, "run_id"), arg_text(x, "reason"), err), "terminated", err);
}

int do_delete_run(struct exchange *x, struct err *err)
{
    const char *wait = arg_text(x, "wait");
    int r = run_delete(svc(x), arg_text(x, "run_id"), !wait || strcmp(wait, "true") == 0, err);
    if (r == 0)
        r = live_forget(x->rest->o.live, exchange_key(x, arg_text(x, "run_id")), true, err);
    return changed(x, r, "deleted", err);
}

static bool has_retry(const struct run_info *run, const char *request_id)
{
    size_t i;
    json_t *v;
    json_array_foreach(run->retries, i, v)
        if (json_is_string(v) && strcmp(json_string_value(v), request_id) == 0)
            return true;
    return false;
}

static int retry(struct exchange *x, const struct run_info *run, struct err *err)
{
    char request_id[37];
    int r = key_request_id(x, run->run_id, "retry", request_id, err); /* the submission may have had the same key */
    bool again = r == 0 && has_retry(run, request_id); /* the same request: nothing is begun, whatever has come after it */
    if (r == 0 && !again) {
        r = run_retry(svc(x), run->run_id, request_id, err);
        status_forget(x->rest, exchange_key(x, run->run_id));
    }
    if (r < 0)
        return r;
    x->answer.replayed = again;
    live_follow(x->rest->o.live, exchange_key(x, run->run_id));
    return reply_json(x, 200,
                      json_pack("{s:s, s:s, s:s, s:s}", "run_id", run->run_id, "status", again ? run->status : "RUNNING",
                                "workflow", run->workflow, "message", "started again"),
                      err);
}

int do_retry_run(struct exchange *x, struct err *err)
{
    const char *key = arg_text(x, "Idempotency-Key");
    pthread_mutex_t *lock = key ? key_lock(key) : NULL;
    struct run_info run;
    if (lock)
        pthread_mutex_lock(lock);
    int r = exchange_run(x, &run, err);
    if (r == 0) {
        r = retry(x, &run, err);
        run_info_release(&run);
    }
    if (lock)
        pthread_mutex_unlock(lock);
    return r;
}

int do_signal_run(struct exchange *x, struct err *err)
{
    char request_id[37];
    struct run_info run;
    int r = exchange_run(x, &run, err); /* what is wrong with a value matters less than that nobody is there */
    if (r < 0)
        return r;
    run_info_release(&run);
    r = body_json(x, err);
    _cleanup_free_ char *value = r == 0 && x->json ? json_dumps(x->json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    if (r == 0 && x->json && !value)
        r = err_nomem(err);
    if (r == 0)
        r = key_request_id(x, arg_text(x, "name"), value, request_id, err);
    if (r == 0)
        r = run_signal(svc(x), arg_text(x, "run_id"), arg_text(x, "name"), x->json, request_id, err);
    return changed(x, r, "signalled", err);
}
