/* Tools that start, watch and steer runs. */
#include "api/mcp/mcp_internal.h"

#include "api/service/control.h"
#include "api/service/runs.h"
#include "api/service/submit.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 200 /* how often a run is looked at that is waited for */

int mcp_run(struct mcp_call *c, const char *id, struct run_info *ret, struct err *err)
{
    _cleanup_free_ char *exact = NULL;
    int r = run_resolve(&c->s->service, id, &exact, err);
    return r < 0 ? r : run_read(&c->s->service, exact, ret, err);
}

/* --- submit --------------------------------------------------------------------------------------------------------------- */

static void ingested(void *arg, const struct ingest_progress *p)
{
    char text[100], size[32];
    snprintf(text, sizeof text, "%s the target: %llu file%s, %s", p->fetching ? "fetching" : "reading",
             (unsigned long long)p->files, UNITS_S(p->files),
             units_format_size(p->bytes, size, sizeof size));
    mcp_progress(arg, 0, text);
}

static bool is_cancelled(void *arg)
{
    const struct mcp_call *c = arg;
    return atomic_load(&c->cancelled);
}

static int prepare(struct mcp_call *c, const json_t *args, struct submission *s, struct err *err)
{
    const struct service *svc = &c->s->service;
    const char *name = json_str(args, "name", NULL), *fail_on = json_str(args, "fail_on", NULL);
    enum severity severity;
    int64_t timeout_s = json_i64(args, "timeout", 0);
    int r = submission_init(svc, json_str(args, "workflow_name", ""), s, err);
    if (r == 0 && name)
        r = submission_name(s, name, err);
    if (r == 0 && fail_on && (r = severity_parse(fail_on, &severity, err)) == 0)
        s->gate.fail_on = (int)severity;
    if (r == 0)
        r = submission_parameters(s, json_object_get(args, "parameters"), err);
    if (r == 0 && timeout_s)
        s->timeout_ms = timeout_s * 1000;
    return r == 0 ? submission_check(svc, s, err) : r;
}

static int start(struct mcp_call *c, const json_t *args, struct submission *s, struct err *err)
{
    const struct service *svc = &c->s->service;
    const char *target = json_str(args, "target_path", "");
    struct ingest_options io;
    int r = c->s->local ? 0 : target_allowed(target, err);
    if (r == 0)
        r = prepare(c, args, s, err);
    if (r == 0)
        r = target_ingest_options(svc, target, &io, err);
    if (r < 0)
        return r;
    io.progress = ingested;
    io.cancelled = is_cancelled;
    io.arg = c;
    r = submission_read_target(svc, s, target, &io, err);
    return r == 0 ? submission_start(svc, s, err) : r;
}

/* What the run does now, when it is something else than before. */
static void tell(struct mcp_call *c, const struct run_info *run, char *said, size_t size)
{
    char text[300];
    const json_t *a = json_array_get(run->activities, 0), *p = json_object_get(a, "progress");
    if (!a)
        snprintf(text, sizeof text, "%s: %s", run->workflow, run->status);
    else if (json_i64(p, "total", 0))
        snprintf(text, sizeof text, "%s: %lld of %lld", json_str(a, "module", "?"), (long long)json_i64(p, "done", 0),
                 (long long)json_i64(p, "total", 0));
    else
        snprintf(text, sizeof text, "%s", json_str(a, "module", "?"));
    if (strcmp(text, said) == 0)
        return;
    snprintf(said, size, "%s", text);
    mcp_progress(c, 0, text);
}

/* Until the run has ended, or the caller wants no more: then the run is cancelled, unless he has just gone. */
static int wait_for(struct mcp_call *c, const char *id, struct run_info *run, struct err *err)
{
    char said[300] = "";
    for (;;) {
        int r = run_read(&c->s->service, id, run, err);
        if (r < 0 || run->closed)
            return r;
        tell(c, run, said, sizeof said);
        if (atomic_load(&c->cancelled)) {
            run_info_release(run);
            if (!atomic_load(&c->s->closing))
                run_cancel(&c->s->service, id, "cancelled by the client", NULL);
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        run_info_release(run);
        os_sleep_ms(LOOK_MS);
    }
}

static int answer_ended(struct mcp_call *c, const char *id, json_t **ret, struct err *err)
{
    struct run_info run;
    struct findings f = {0};
    int r = wait_for(c, id, &run, err);
    if (r < 0)
        return r;
    r = run_findings(&c->s->service, &run, &f, err);
    struct findings_counts counts = findings_count(&f);
    if (r == 0)
        *ret = json_pack("{s:s, s:s, s:s, s:s, s:o}", "run_id", run.run_id, "status", run.status, "workflow", run.workflow,
                         "message",
                         "the run has ended", "findings_count", findings_counts_json(&counts));
    mcp_log(c, 6, "run %s has ended: %s", run.run_id, run.status);
    findings_release(&f);
    run_info_release(&run);
    return r;
}

int tool_submit(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct submission s = SUBMISSION_INIT;
    int r = start(c, args, &s, err);
    if (r == 0) {
        mcp_log(c, 6, "run %s of %s is started", s.id, s.def->name);
        mcp_progress(c, 0, "started");
        if (json_flag(args, "wait", false))
            r = answer_ended(c, s.id, ret, err);
        else
            *ret = json_pack("{s:s, s:s, s:s, s:s}", "run_id", s.id, "status", "RUNNING", "workflow", s.def->name, "message",
                             "the run is started; get_run_status_mcp says how far it is");
    }
    submission_release(&s);
    return r;
}

/* --- status --------------------------------------------------------------------------------------------------------------- */

int tool_status(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct run_info run;
    char created[32], updated[32];
    int r = mcp_run(c, json_str(args, "run_id", ""), &run, err);
    if (r < 0)
        return r;
    bool done = strcmp(run.status, "COMPLETED") == 0;
    os_format_time(run.started_ns, created);
    os_format_time(run.finished_ns ? run.finished_ns : os_now_ns(), updated);
    *ret = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:s, s:s, s:O?, s:o}", "run_id", run.run_id, "workflow",
                     run.workflow,
                     "status", run.status, "is_completed", done, "is_failed", run.closed && !done, "is_running", !run.closed,
                     "is_blocked", run.blocked, "is_incomplete", run.incomplete, "created_at", created, "updated_at", updated,
                     "activities", run.activities, "failure", run.failure ? json_clean_string(run.failure) : json_null());
    if (*ret && !run.activities)
        json_object_set_new(*ret, "activities", json_array());
    run_info_release(&run);
    return 0;
}

static void add_run(void *arg, const struct run_item *item)
{
    json_array_append_new(arg, run_item_json(item));
}

int tool_recent_runs(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf filter = STRBUF_INIT_MAX(16384);
    _cleanup_json_ json_t *list = json_array();
    ProtobufCBinaryData token = {0};
    int r = cursor_read_bytes('r', json_str(args, "cursor", NULL), &token.data, &token.len, err);
    if (r == 0)
        r = runs_filter(json_str(args, "status", NULL), json_str(args, "workflow_name", NULL), NULL, &filter, err);
    if (r == 0)
        r = runs_list_current(&c->s->service, strbuf_str(&filter), (size_t)json_i64(args, "limit", 20), &token, add_run, list,
                              err);
    if (r == 0)
        *ret = json_pack("{s:O, s:o}", "runs", list, "next_cursor",
                         token.len ? cursor_bytes('r', token.data, token.len) : json_null());
    free(token.data);
    return r;
}

/* --- steering ------------------------------------------------------------------------------------------------------------- */

static int steer(struct mcp_call *c, const json_t *args, bool again, json_t **ret, struct err *err)
{
    _cleanup_free_ char *id = NULL;
    const struct service *svc = &c->s->service;
    int r = run_resolve(svc, json_str(args, "run_id", ""), &id, err);
    if (r == 0)
        r = again ? run_retry(svc, id, NULL, err) : run_cancel(svc, id, json_str(args, "reason", NULL), err);
    if (r == 0)
        *ret = json_pack("{s:s, s:s}", "run_id", id, "message", again ? "started again" : "cancellation requested");
    return r;
}

int tool_cancel(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    return steer(c, args, false, ret, err);
}

int tool_retry(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    return steer(c, args, true, ret, err);
}
