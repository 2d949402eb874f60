/* ff --server URL module run: the server runs the module as a run of its own. What comes out is fetched, then the run is removed:
 * as here, nothing stays. */
#include "cli/module_run_internal.h"

#include "api/client/remote.h"
#include "api/client/send.h"
#include "api/service/catalog.h"
#include "api/service/control.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/follow.h"
#include "cli/term.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define FINDINGS_BYTES_MAX ((size_t)1 << 30)

int trial_remote_find(struct trial *t, const char *name, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    int r = module_find(&t->app->service, name, &doc, err);
    if (r < 0)
        return r;
    json_t *schema = json_object_get(doc, "input_schema");
    t->module.name = mem_strdup(json_str(doc, "name", ""));
    t->module.requires_workspace = json_flag(doc, "requires_workspace", true);
    t->module.input_schema = json_is_object(schema) ? json_incref(schema) : NULL;
    return t->module.name ? 0 : err_nomem(err);
}

/* --- the start -------------------------------------------------------------------------------------------- */

static bool cancelled(void *arg)
{
    (void)arg;
    return follow_interrupted();
}

static int send_it(struct trial *t, const char *target, struct err *err)
{
    struct app *app = t->app;
    const char *isolation = args_get(t->args, "isolation");
    const struct module_bounds b = {isolation, sandbox_network_name(t->network), (int64_t)t->limits.wall_ms,
                                    t->limits.memory_bytes, t->limits.disk_bytes};
    struct ingest_options o = {.spawner = app->spawner, .exclude_dir = app->state_dir, .limits = app->service.limits,
                               .cancelled = cancelled};
    struct submission q = SUBMISSION_INIT;
    q.module.name = mem_strdup(t->module.name);
    q.module.bounds = &b;
    q.parameters = json_incref(t->input);
    q.timeout_ms = b.timeout_ms;
    memcpy(q.id, t->id, sizeof t->id);
    app->following = false;
    int r = q.module.name ? client_submit(app->client, &q, target, &o, err) : err_nomem(err);
    app->following = true;
    if (r == -ERR_CANCELLED) /* it may have been heard all the same */
        (void)run_cancel(&app->service, t->id, "interrupted", NULL);
    if (r == 0)
        trial_notices(t, &q.ingested);
    submission_release(&q);
    return r;
}

/* --- while it runs ---------------------------------------------------------------------------------------- */

/* As the module gave it, without what the server has put beside. */
static void take_stats(struct trial *t, const json_t *data)
{
    _cleanup_json_ json_t *j = json_copy((json_t *)(uintptr_t)data);
    json_object_del(j, "module");
    json_object_del(j, "attempt");
    trial_stats(t, j);
}

static void take_finding(struct trial *t, const json_t *data)
{
    struct finding f;
    _cleanup_json_ json_t *j = json_copy((json_t *)(uintptr_t)data);
    json_object_del(j, "attempt");
    if (finding_from_json(j, &f, NULL) < 0)
        return;
    trial_finding(t, &f);
    finding_release(&f);
}

static void on_event(void *arg, const struct worker_event *e)
{
    if (strcmp(e->type, "log") == 0 && *e->module) /* else of the run */
        trial_log(arg, json_str(e->data, "level", "info"), json_str(e->data, "message", ""));
    else if (strcmp(e->type, "progress") == 0 && *e->module)
        trial_progress(arg, (uint64_t)json_i64(e->data, "done", 0), (uint64_t)json_i64(e->data, "total", 0),
                       json_str(e->data, "message", ""));
    else if (strcmp(e->type, "stats") == 0)
        take_stats(arg, e->data);
    else if (strcmp(e->type, "finding") == 0)
        take_finding(arg, e->data);
}

/* True: it is to be told. */
static bool tick(void *arg)
{
    const struct trial *t = arg;
    return follow_interrupted() && !t->asked;
}

static void ask_to_stop(struct trial *t)
{
    struct err err = {0};
    t->asked = true;
    if (run_signal(&t->app->service, t->id, "stop", NULL, NULL, &err) < 0)
        log_warn("stop: %s", err.msg);
}

static int follow(struct trial *t, struct err *err)
{
    struct client_follower f = {.on_event = on_event, .tick = tick, .arg = t};
    int r;
    do {
        if (tick(t))
            ask_to_stop(t);
        r = client_follow(t->app->client, t->id, &f, err);
    } while (r == 0 && tick(t));
    return r;
}

/* --- after ------------------------------------------------------------------------------------------------ */

/* What its events told of them may be less: those are for a module that failed, and has no result. */
static int fetch_findings(struct trial *t, struct err *err)
{
    const json_t *ref = json_object_get(t->answer, "findings");
    uint64_t size;
    findings_release(&t->findings);
    t->findings = (struct findings){0};
    if (!json_i64(t->answer, "findings_count", 0))
        return 0;
    _cleanup_close_ int fd = memfd_create("ff-findings", MFD_CLOEXEC);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    int r = fd < 0 ? err_sys(err, errno, "memory for findings") : client_object_get(t->app->client, json_str(ref, "ref", ""), fd,
                                                                                   &size, err);
    if (r == 0 && size > FINDINGS_BYTES_MAX)
        r = err_set(err, ERR_LIMIT, "the findings have over %zu bytes", FINDINGS_BYTES_MAX);
    if (r == 0 && !(text = mem_alloc(size + 1)))
        r = err_nomem(err);
    if (r == 0)
        r = os_pread_full(fd, text, size, 0, &len, err);
    return r == 0 ? findings_read(&t->findings, text, len, err) : r;
}

/* Of a module of one's own the reader of its messages has looked at the names. */
static bool fine_name(const char *name)
{
    return *name && name[0] != '.' && !strchr(name, '/');
}

static int fetch_artifact(struct trial *t, const char *name, const json_t *ref, const char *to, struct err *err)
{
    uint64_t size;
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *path = os_path_join(to, name);
    if (!path)
        return err_nomem(err);
    int r = os_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &fd, err);
    return r == 0 ? client_object_get(t->app->client, json_str(ref, "ref", ""), fd, &size, err) : r;
}

static int fetch_artifacts(struct trial *t, struct err *err)
{
    const char *to = args_get(t->args, "artifacts"), *name;
    const json_t *all = json_object_get(t->answer, "artifacts");
    json_t *ref;
    int r = to && json_object_size(all) ? os_mkdirs(to, 0755, err) : 0;
    json_object_foreach((json_t *)(uintptr_t)all, name, ref) {
        if (r == 0)
            trial_artifact(t, name, name);
        if (r == 0 && to && trial_wants(t, name))
            r = fine_name(name) ? fetch_artifact(t, name, ref, to, err)
                                : err_set(err, ERR_CORRUPT, "an artifact has a name that is none");
    }
    return r;
}

/* The reason as it is told here: whoever asked knows which module it is. */
static const char *reason_of(const struct trial *t, const char *failure)
{
    static const char *const befores[] = {"activity '%.64s' failed: ", "module '%.64s' failed: ", "module '%.64s' "};
    for (size_t i = 0; i < ARRAY_LEN(befores); i++) {
        char before[128];
        size_t n = (size_t)snprintf(before, sizeof before, befores[i], t->module.name);
        if (strncmp(failure, before, n) == 0)
            failure += n;
    }
    return failure;
}

/* What it has printed there is told as it is here, after its end. */
static void print_stderr(const struct trial *t, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        log_warn("%s (stderr): %.*s", t->module.name, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void take_usage(struct trial *t, const json_t *usage)
{
    t->end.wall_ns = json_i64(usage, "duration_ms", 0) * NS_PER_MS;
    t->end.memory_peak_bytes = (uint64_t)json_i64(usage, "memory_peak_bytes", 0);
}

static int take_failure(struct trial *t, const struct run_info *run, struct err *err)
{
    const json_t *details = t->answer;
    bool ended = t->asked || strcmp(run->status, "CANCELLED") == 0 || strcmp(run->status, "TERMINATED") == 0;
    if (ended)
        err_set(&t->failure, ERR_CANCELLED, "interrupted");
    else
        err_set(&t->failure, ERR_FAILED, "%s", reason_of(t, run->failure ? run->failure : "the server gave no reason"));
    t->status = "failed";
    t->error = t->failure.msg;
    take_usage(t, json_object_get(details, "usage"));
    print_stderr(t, json_str(details, "stderr", ""));
    return fetch_artifacts(t, err);
}

static json_t *member(const json_t *j, const char *a, const char *b)
{
    return json_object_get(json_object_get(j, a), b);
}

/* The module's own answer, or what is known of its failure: in the script's result members have another order. */
static int find_answer(void *arg, const json_t *event, struct err *err)
{
    struct trial *t = arg;
    const json_t *all = member(event, "activityTaskCompletedEventAttributes", "result");
    (void)err;
    if (!all)
        all = member(member(event, "activityTaskFailedEventAttributes", "failure"), "applicationFailureInfo", "details");
    json_t *answer = json_array_get(json_object_get(all, "payloads"), 0);
    if (!json_is_object(answer))
        return 0;
    json_decref(t->answer);
    t->answer = json_incref(answer);
    return 0;
}

static int take_answer(struct trial *t, struct err *err)
{
    if (!t->answer)
        return err_set(err, ERR_CORRUPT, "%s has no answer of the module", client_url(t->app->client));
    t->status = strcmp(json_str(t->answer, "status", ""), "partial") == 0 ? "partial" : "success";
    t->summary = json_object_get(t->answer, "summary");
    t->error = json_str(t->answer, "error", NULL);
    if (json_flag(t->answer, "cached", false))
        t->cached = json_incref(t->answer);
    else
        take_usage(t, json_object_get(t->answer, "usage"));
    int r = fetch_findings(t, err);
    return r == 0 ? fetch_artifacts(t, err) : r;
}

static int collect(struct trial *t, struct err *err)
{
    struct run_info run;
    struct err why = {0};
    int r = run_read(&t->app->service, t->id, &run, err);
    if (r < 0)
        return r;
    if (run.closed)
        r = run_each_document(&t->app->service, t->id, find_answer, t, err);
    if (r == 0 && !run.closed)
        r = err_set(err, ERR_STATE, "the server does not get on with it: %s", run.failure ? run.failure : "its run is blocked");
    else if (r == 0 && strcmp(run.status, "COMPLETED") == 0)
        r = take_answer(t, err);
    else if (r == 0)
        r = take_failure(t, &run, err);
    run_info_release(&run);
    if (r == 0)
        r = findings_merge(&t->findings, err);
    if (r == 0 && run_delete(&t->app->service, t->id, false, &why) < 0)
        log_warn("run %s stays on the server: %s", t->id, why.msg);
    return r;
}

int trial_remote(struct trial *t, const char *target, struct err *err)
{
    int r = 0;
    if (target && !target_is_url(target) && !os_exists(target))
        r = err_set(err, ERR_NOT_FOUND, "target: no such target: %s", target);
    if (r == 0)
        r = send_it(t, target, err);
    if (r < 0)
        return r;
    r = follow(t, err);
    term_status_clear();
    if (r == 0)
        r = collect(t, err);
    return r < 0 && !err->hint[0] ? err_hint(err, "'ff runs show %s' says what has become of it", t->id) : r;
}
