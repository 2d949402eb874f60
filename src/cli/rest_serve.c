#include "cli/rest_serve.h"

#include "api/access/access.h"
#include "api/mcp/http.h"
#include "api/rest/rest.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/backup.h"
#include "cli/cmd_status.h"
#include "cli/follow.h"
#include "cli/housekeeping.h"
#include "cli/log_writer.h"
#include "cli/namespaces.h"
#include "cli/process_file.h"
#include "cli/restore.h"
#include "cli/serve_again.h"
#include "cli/share.h"
#include "cli/target.h"
#include "cli/tokens.h"
#include "cli/workers.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"
#include "version.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define GRACE_MS 10000 /* for requests that are being answered */

struct rest_serve {
    _Atomic(struct live *) live;
    struct rest *rest;
    struct app *app;
    struct access *access;
    struct mcp *mcp;
    struct mcp_http *mcp_http;
    struct rest_mount mounts[2]; /* ended by an empty one */
    bool insecure_loopback, json_log;
    atomic_bool stopping;
    char *upload_dir;
    char restore[27]; /* before `staged` is set */
    atomic_bool staged;
    void (*next)(void *arg, const struct worker_event *e);
    void *next_arg;
};

static void on_event(void *arg, const struct worker_event *e)
{
    struct rest_serve *s = arg;
    struct live *live = atomic_load(&s->live);
    if (s->next)
        s->next(s->next_arg, e);
    if (live)
        live_worker_event(live, e);
}

struct live *rest_serve_live(struct rest_serve *s)
{
    return atomic_load(&s->live);
}

/* A cookie is sent by the browser whoever made it ask; the word beside it only by a page that could read ours. */
static int check_session(struct rest_serve *s, const struct rest_credentials *c, struct access_caller *who,
                         struct rest_caller *ret, struct err *err)
{
    int r = access_session_check(s->access, c->session, who, &ret->expires_ms, err);
    if (r < 0)
        return r;
    ret->by_session = true;
    if (!c->changes || (c->csrf && access_session_csrf_is(c->session, c->csrf)))
        return 0;
    err_set(err, ERR_PERMISSION, "a session's change carries the header X-CSRF-Token, and that is %s", c->csrf ? "not its own"
                                                                                                                : "missing");
    return err_hint(err, "GET /session says what it is");
}

static int authenticate(void *arg, const struct rest_credentials *c, struct rest_caller *ret, struct err *err)
{
    static const enum rest_role roles[] = {
        [ACCESS_VIEWER] = REST_VIEWER, [ACCESS_OPERATOR] = REST_OPERATOR, [ACCESS_ADMIN] = REST_ADMIN};
    struct rest_serve *s = arg;
    struct access_caller who;
    int r = 0;
    if (!c->authorization && c->session)
        r = check_session(s, c, &who, ret, err);
    else if (!c->authorization && (c->certificate || s->insecure_loopback))
        access_local_caller(c->certificate ? "certificate" : "loopback", &who);
    else
        r = access_check_header(s->access, c->authorization, &who, err);
    if (r == -ERR_UNAUTHENTICATED)
        err_hint(err, "send 'Authorization: Bearer TOKEN'; 'ff token create' makes one; one is in the state's file '%s'",
                 ACCESS_OWNER_FILE);
    if (r < 0)
        return r;
    snprintf(ret->id, sizeof ret->id, "%s", who.id);
    snprintf(ret->name, sizeof ret->name, "%s", who.name);
    if (strcmp(who.name_space, ACCESS_ALL) != 0)
        snprintf(ret->name_space, sizeof ret->name_space, "%s", namespaces_of(s->app, who.name_space));
    ret->role = roles[who.role];
    return 0;
}

static void log_answered(void *arg, const struct rest_answered *a)
{
    const struct rest_serve *s = arg;
    char at[32];
    if (!log_enabled(LOG_INFO))
        return;
    if (!s->json_log) {
        log_info("request %s: %s %s %d, %lld us, %llu bytes, by %s%s", a->request_id, a->method, a->route, a->status,
                 (long long)a->took_us, (unsigned long long)a->bytes, a->caller, a->cut_off ? ", cut off" : "");
        return;
    }
    _cleanup_json_ json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:b}", "time", os_format_time(os_now_ns(), at), "level", "info",
        "message", "request", "request_id", a->request_id, "method", a->method, "route", a->route, "caller", a->caller, "status",
        a->status, "took_us", (json_int_t)a->took_us, "bytes", (json_int_t)a->bytes, "cut_off", a->cut_off);
    _cleanup_free_ char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text)
        log_writer_put(text);
}

static int list_workers(void *arg, const char *name_space, json_t **ret, struct err *err)
{
    struct rest_serve *s = arg;
    return workers_read(s->app, name_space, ret, err);
}

static int do_token(void *arg, enum token_verb verb, const json_t *q, json_t **ret, struct err *err)
{
    struct rest_serve *s = arg;
    return tokens_do(s->app, s->access, verb, q, ret, err);
}

static int keep_house(void *arg, const struct service *svc, enum house_verb verb, const json_t *q, json_t **ret, struct err *err)
{
    struct rest_serve *s = arg;
    return housekeeping_do(s->app, svc, verb, q, &s->stopping, ret, err);
}

static int make_backup(void *arg, rest_put *put, void *to, struct err *err)
{
    struct rest_serve *s = arg;
    struct backup_count n;
    return backup_write(s->app, put, to, &n, err);
}

/* Others would go on with what they know of the old state. */
static int check_alone(struct app *app, struct err *err)
{
    _cleanup_json_ json_t *workers = NULL;
    int r = process_workers(app->state_dir, &workers, err);
    if (r < 0)
        return r;
    size_t others = json_array_size(workers) + (app->share ? share_guests(app->share) : 0);
    if (!others && (!app->share || share_holds(app->share)))
        return 0;
    err_set(err, ERR_BUSY, "other processes use the state of this server");
    return err_hint(err, "there: 'ff workers stop'; 'ff status' tells who else does");
}

static int stage_restore(void *arg, int fd, const struct rest_caller *who, const char *peer, json_t **ret, struct err *err)
{
    struct rest_serve *s = arg;
    struct backup_count n;
    struct access_caller by = {.role = ACCESS_ADMIN};
    struct audit_entry asked = {.who = &by, .via = "rest", .peer = peer, .action = "state.restore", .subject = s->restore};
    snprintf(by.id, sizeof by.id, "%.*s", ACCESS_ID_LEN, who->id);
    snprintf(by.name, sizeof by.name, "%.*s", ACCESS_NAME_MAX, who->name);
    snprintf(by.name_space, sizeof by.name_space, "%s", ACCESS_ALL);
    os_ulid(s->restore);
    int r = check_alone(s->app, err);
    if (r == 0)
        r = restore_stage(fd, s->app->state_dir, &asked, &n, err);
    if (r == 0 && !(*ret = json_pack("{s:s, s:I, s:I}", "restore", s->restore, "files", (json_int_t)n.files, "bytes",
                                     (json_int_t)n.bytes)))
        r = err_nomem(err);
    if (r == 0 && atomic_load(&s->stopping))
        r = err_set(err, ERR_UNAVAILABLE, "the server is stopping");
    if (r == 0) /* it took its time */
        r = check_alone(s->app, err);
    if (r < 0) {
        restore_drop(s->app->state_dir);
        json_decref(TAKE_PTR(*ret));
        return r;
    }
    log_warn("a backup was sent by %s: the server ends, and begins again with it (restore %s)", by.name, s->restore);
    atomic_store(&s->staged, true);
    follow_end();
    return 0;
}

const char *rest_serve_staged(const struct rest_serve *s)
{
    return s && atomic_load(&s->staged) ? s->restore : NULL;
}

int rest_serve_listener(const struct rest_serve *s)
{
    return s && s->rest ? rest_listener(s->rest) : -1;
}

static int show_status(void *arg, const char *name_space, json_t **ret, struct err *err)
{
    struct rest_serve *s = arg;
    return status_document(s->app, name_space, ret, err);
}

static void slots(void *arg, int *ret_all, int *ret_busy)
{
    const struct rest_serve *s = arg;
    if (s->app->worker)
        worker_slots(s->app->worker, ret_all, ret_busy);
}

static const struct engine_times *times(void *arg)
{
    const struct rest_serve *s = arg;
    return s->app->share ? share_times(s->app->share) : NULL;
}

int rest_serve_check(const struct rest_serve_options *o, struct err *err)
{
    return rest_check(o->address ? o->address : REST_ADDRESS, o->tls.on, false, err);
}

int rest_serve_prepare(struct app *app, struct rest_serve **ret, struct err *err)
{
    struct rest_serve *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->app = app;
    s->next = app->on_event;
    s->next_arg = app->on_event_arg;
    app->on_event = on_event;
    app->on_event_arg = s;
    *ret = s;
    return 0;
}

static int mount_mcp(struct rest_serve *s, struct app *app, struct live *live, struct err *err)
{
    struct mcp_options o = {.service = &app->service, .version = FF_VERSION, .state_dir = app->state_dir, .live = live};
    int r = mcp_new(&o, &s->mcp, err);
    if (r == 0)
        r = mcp_http_new(s->mcp, &s->mcp_http, err);
    s->mounts[0] = (struct rest_mount){.path = "/mcp", .handle = mcp_http_handle, .arg = s->mcp_http};
    return r;
}

static int start(struct rest_serve *s, struct app *app, const struct rest_serve_options *o, int *ret_port, struct err *err)
{
    char token[ACCESS_TOKEN_LEN + 1];
    struct live *live = NULL;
    bool handed = o->listen_fd > 0 && (!o->address || o->again->so);
    struct rest_options q = {.service = &app->service,
                             .address = o->address || handed ? o->address : REST_ADDRESS,
                             .listen_fd = handed ? o->listen_fd : 0,
                             .upload_dir = s->upload_dir,
                             .hosts = o->hosts,
                             .verticals = app_verticals,
                             .workers = list_workers,
                             .times = times,
                             .slots = slots,
                             .status = show_status,
                             .tokens = do_token,
                             .house = keep_house,
                             .backup = make_backup,
                             .restore = o->allow_restore ? stage_restore : NULL,
                             .restored = o->again->so ? o->again->restore : NULL,
                             .restored_how = o->again->outcome,
                             .answered = log_answered,
                             .open = o->insecure_loopback,
                             .tls = o->tls,
                             .authenticate = authenticate,
                             .arg = s};
    s->insecure_loopback = o->insecure_loopback;
    s->json_log = o->json_log;
    int r = access_open(app->state_dir, &s->access, err);
    q.access = s->access;
    if (r == 0)
        r = access_owner_token(s->access, token, err);
    explicit_bzero(token, sizeof token);
    if (r == 0)
        r = config_size(&app->config, CONFIG_target_max_size, &q.upload_max_bytes, err);
    if (r == 0)
        r = live_open(&app->service, app->state_dir, app->worker ? worker_identity(app->worker) : NULL, &live, err);
    if (r == 0) {
        q.live = live;
        atomic_store(&s->live, live);
        r = mount_mcp(s, app, live, err);
        q.mounts = s->mounts;
    }
    if (r == 0)
        r = rest_start(&q, &s->rest, ret_port, err);
    return r;
}

int rest_serve_start(struct rest_serve *s, struct app *app, const struct rest_serve_options *o, char **ret_url, struct err *err)
{
    const char *address = o->address ? o->address : REST_ADDRESS;
    int port = 0;
    *ret_url = NULL;
    s->upload_dir = os_path_join(app->tmp_dir, "uploads");
    int r = s->upload_dir ? app_read_limits(app, err) : err_nomem(err);
    if (r == 0)
        r = start(s, app, o, &port, err);
    if (r == -ERR_BUSY && !o->address) {
        log_warn("no REST: %s; --listen ADDR:PORT names another address, --listen none does without", err->msg);
        *err = (struct err){0};
        return 0;
    }
    if (r < 0)
        return r;
    *ret_url = mem_printf("http%s://%.*s:%d", o->tls.on ? "s" : "", (int)(strrchr(address, ':') - address), address, port);
    return *ret_url ? 0 : err_nomem(err);
}

int64_t rest_serve_pulse(struct rest_serve *s)
{
    return s && s->rest ? rest_pulse(s->rest) : 0;
}

void rest_serve_stop(struct rest_serve *s, struct app *app)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    if (s->mcp_http)
        mcp_http_stop(s->mcp_http);
    rest_stop(TAKE_PTR(s->rest), GRACE_MS);
    mcp_http_free(TAKE_PTR(s->mcp_http));
    mcp_free(TAKE_PTR(s->mcp));
    app_stop_worker(app); /* its last events are taken */
    struct live *live = atomic_exchange(&s->live, NULL);
    live_close(live);
}

void rest_serve_free(struct rest_serve *s)
{
    if (!s)
        return;
    access_close(s->access);
    free(s->upload_dir);
    free(s);
}
