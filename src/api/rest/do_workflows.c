/* Workflows, and the submission of runs: of a workflow, or of one module alone. */
#include "api/rest/rest_internal.h"

#include "api/service/catalog.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "codec/sha256.h"
#include "os/clock.h"
#include "os/file.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

int do_list_workflows(struct exchange *x, struct err *err)
{
    struct workflow_def **defs = NULL;
    size_t n = 0;
    bool all = strcmp(arg_text(x, "all") ? arg_text(x, "all") : "", "true") == 0;
    json_t *list = json_array();
    int r = list ? toolbox_list(x->svc.toolbox, &defs, &n, err) : err_nomem(err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if ((all || !defs[i]->broken) && json_array_append_new(list, workflow_head_json(defs[i])) < 0)
            r = err_nomem(err);
    toolbox_list_free(defs, n);
    if (r == 0 && x->caller.name_space[0])
        catalog_shorten(list);
    if (r < 0)
        json_decref(list);
    return r < 0 ? r : reply_json(x, 200, list, err);
}

int do_metadata_schema(struct exchange *x, struct err *err)
{
    return reply_json(x, 200, workflow_metadata_schema(), err);
}

static int find(struct exchange *x, struct workflow_def **ret, struct err *err)
{
    int r = toolbox_find(x->svc.toolbox, arg_text(x, "workflow"), ret, err);
    if (r == -ERR_NOT_FOUND)
        x->error_type = "WorkflowNotFound";
    if (r == -ERR_INVALID) { /* a broken one is the server's fault, not the client's */
        x->error_type = "WorkflowBroken";
        x->error_status = 409;
    }
    return r;
}

int do_workflow_metadata(struct exchange *x, struct err *err)
{
    struct workflow_def *d;
    int r = find(x, &d, err);
    if (r < 0)
        return r;
    json_t *j = workflow_info_json(d);
    workflow_def_free(d);
    if (x->caller.name_space[0])
        catalog_shorten(j);
    if (j && !json_is_object(json_object_get(j, "parameters"))) /* as former clients want it */
        json_object_set_new(j, "parameters", json_object());
    if (j && !json_is_object(json_object_get(j, "default_parameters")))
        json_object_set_new(j, "default_parameters", json_object());
    if (j && !json_is_array(json_object_get(j, "required_modules")))
        json_object_set_new(j, "required_modules", json_array());
    if (j) {
        json_object_set_new(j, "supported_volume_modes", json_pack("[s, s]", "ro", "rw"));
        json_object_set_new(j, "has_custom_docker", json_false());
    }
    return reply_json(x, 200, j, err);
}

/* Former clients know parameters as {name: schema}, each with its default. */
int do_workflow_parameters(struct exchange *x, struct err *err)
{
    struct workflow_def *d;
    int r = find(x, &d, err);
    if (r < 0)
        return r;
    json_t *j = workflow_parameters_json(d), *schema = json_object_get(j, "parameters");
    workflow_def_free(d);
    json_t *properties = json_deep_copy(json_object_get(schema, "properties"));
    json_t *defaults = json_object_get(j, "default_parameters");
    const char *name;
    json_t *value;
    if (j && !properties)
        properties = json_object();
    if (j && !json_is_object(defaults)) {
        json_object_set_new(j, "default_parameters", json_object());
        defaults = NULL;
    }
    json_object_foreach(defaults, name, value)
        if (json_is_object(json_object_get(properties, name)))
            json_object_set(json_object_get(properties, name), "default", value);
    if (j) {
        json_object_set(j, "schema", schema ? schema : json_null());
        json_object_set_new(j, "parameters", properties);
    }
    return reply_json(x, 200, j, err);
}

int do_worker_info(struct exchange *x, struct err *err)
{
    struct workflow_def *d;
    int r = find(x, &d, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *queue = worker_queue_name(d->vertical), *service = mem_printf("worker-%s", d->vertical),
                        *container = mem_printf("fuzzforge-worker-%s", d->vertical);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "workflow", d->name, "vertical", d->vertical, "worker_container",
                          container, "worker_service", service, "task_queue", queue, "required", 1);
    workflow_def_free(d);
    return reply_json(x, 200, j, err);
}

/* --- submission -------------------------------------------------------------------------------------------------- */

/* What a key of a client means here. */
static int key_text(const struct exchange *x, const char *what, const char *more, unsigned char out[SHA256_BYTES],
                    struct err *err)
{
    const char *key = arg_text(x, "Idempotency-Key");
    struct sha256 h = {0};
    sha256_begin(&h);
    sha256_add(&h, what, strlen(what) + 1);
    sha256_add(&h, key, strlen(key));
    if (more) { /* no key has a NUL in it */
        sha256_add(&h, "", 1);
        sha256_add(&h, more, strlen(more));
    }
    bool ok = sha256_end(&h, out);
    sha256_release(&h);
    return ok ? 0 : err_nomem(err);
}

int key_request_id(struct exchange *x, const char *what, const char *more, char ret[37], struct err *err)
{
    unsigned char b[SHA256_BYTES];
    if (!arg_text(x, "Idempotency-Key")) {
        os_uuid(ret);
        return 0;
    }
    int r = key_text(x, what, more, b, err);
    if (r == 0)
        snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-4%x%02x-8%x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
                 b[4], b[5], b[6] & 15, b[7], b[8] & 15, b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return r;
}

pthread_mutex_t *key_lock(const char *key)
{
    static pthread_mutex_t locks[] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                      PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
    return &locks[XXH3_64bits(key, strlen(key)) % ARRAY_LEN(locks)];
}

/* An id of 26 characters, the same for the same key and workflow. */
static int key_run_id(struct exchange *x, struct submission *s, struct err *err)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char b[SHA256_BYTES];
    int r = key_text(x, s->def->name, NULL, b, err);
    for (int i = 0; r == 0 && i < NAME_ID_LEN; i++)
        s->id[i] = digits[b[i] & 31];
    s->id[NAME_ID_LEN] = 0;
    s->fresh = false;
    return r;
}

static int reply_submitted(struct exchange *x, const char *id, const char *workflow, const char *status, struct err *err)
{
    _cleanup_free_ char *message = mem_printf("Workflow '%s' submitted successfully", workflow);
    return reply_json(x, 200,
                      json_pack("{s:s, s:s, s:s, s:s}", "run_id", id, "status", status, "workflow", workflow, "message", message),
                      err);
}

static int begin(struct exchange *x, struct submission *s, struct err *err)
{
    int r = submission_init(&x->svc, arg_text(x, "workflow"), s, err);
    if (r == -ERR_NOT_FOUND)
        x->error_type = "WorkflowNotFound";
    if (r == -ERR_INVALID) {
        x->error_type = "WorkflowBroken";
        x->error_status = 409;
    }
    return r;
}

static int set_parameters(struct exchange *x, struct submission *s, const json_t *given, struct err *err)
{
    int r = submission_parameters(s, given, err);
    return r == -ERR_INVALID ? bad_field(x, "parameters", err) : r;
}

static int set_name(struct exchange *x, struct submission *s, const char *name, struct err *err)
{
    int r = name ? submission_name(s, name, err) : 0;
    if (r == 0 && !name && arg_text(x, "Idempotency-Key"))
        r = key_run_id(x, s, err);
    if (r == 0 && arg_text(x, "Idempotency-Key"))
        r = key_request_id(x, s->id, NULL, s->key, err);
    return r == -ERR_INVALID ? bad_field(x, "name", err) : r;
}

/* What is asked for, so that the same key with another request is noticed. body: taken. */
static int set_asked(struct exchange *x, struct submission *s, json_t *body, struct err *err)
{
    _cleanup_json_ json_t *all = json_pack("{s:O, s:o}", "arguments", x->args, "body", body);
    _cleanup_free_ char *text = *s->key && all ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!*s->key)
        return 0;
    if (!text)
        return err_nomem(err);
    XXH128_hash_t h = XXH3_128bits(text, strlen(text));
    snprintf(s->asked, sizeof s->asked, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    return 0;
}

/* The same key again: the run that it has made. */
static bool replay(struct exchange *x, const struct submission *s, int *ret, struct err *err)
{
    struct run_info run;
    int made = submission_made(&x->svc, s, &run, err);
    if (made != 1) {
        *ret = made;
        return made < 0;
    }
    if (run.asked && strcmp(run.asked, s->asked) != 0) {
        x->error_type = "IdempotencyKeyReused";
        err_set(err, ERR_INVALID, "Idempotency-Key: it was used for run '%s', of another submission", s->id);
        *ret = bad_field(x, "Idempotency-Key", err);
    } else {
        x->answer.replayed = true;
        *ret = reply_submitted(x, s->id, s->def->name, run.status, err);
    }
    run_info_release(&run);
    return true;
}

static int start(struct exchange *x, struct submission *s, struct err *err)
{
    pthread_mutex_t *lock = *s->key ? key_lock(s->key) : NULL;
    int r, replayed;
    if (lock)
        pthread_mutex_lock(lock);
    bool made = replay(x, s, &replayed, err);
    r = made ? replayed : submission_start(&x->svc, s, err);
    if (lock)
        pthread_mutex_unlock(lock);
    if (r < 0 || made)
        return r;
    live_follow(x->rest->o.live, exchange_key(x, s->id));
    return reply_submitted(x, s->id, s->def->name, "RUNNING", err);
}

/* What there was not yet when it began may be there by now, from the same request that was sent at the same time. */
static int end(struct exchange *x, struct submission *s, int r, struct err *err)
{
    int replayed;
    if (r == -ERR_EXISTS && replay(x, s, &replayed, err))
        r = replayed;
    submission_release(s);
    return r;
}

static int set_gate(struct exchange *x, struct submission *s, const json_t *body, struct err *err)
{
    const char *level = json_str(body, "fail_on", NULL), *base = json_str(body, "baseline", NULL);
    enum severity sev;
    if (level) {
        int r = severity_parse(level, &sev, err);
        if (r < 0)
            return bad_field(x, "fail_on", err);
        s->gate.fail_on = (int)sev;
    }
    s->gate.strict = json_flag(body, "strict", false);
    s->gate.no_inline_suppressions = json_flag(body, "no_inline_suppressions", false);
    if (!base)
        return 0;
    if (!(s->gate.baseline = mem_strdup(base)))
        return err_nomem(err);
    int r = submission_baseline_run(&x->svc, &s->gate, err);
    if (r == -ERR_USAGE) {
        x->error_status = 422;
        return bad_field(x, "baseline", err);
    }
    return r;
}

/* Which paths of the server's own may be read: the owner's word alone. */
static int check_target(struct exchange *x, const char *target, struct err *err)
{
    if (x->caller.role < REST_ADMIN || x->caller.name_space[0])
        return target_allowed(target, err);
    if (target_is_url(target) && strncmp(target, "file://", 7) != 0)
        return 0;
    if (target[0] == '/' && os_exists(target))
        return 0;
    x->error_status = 400;
    snprintf(x->field, sizeof x->field, "target_path");
    return err_set(err, ERR_USAGE, target_is_url(target) || target[0] == '/' ? "the target does not exist"
                                                                             : "an absolute path or a URL is wanted");
}

/* One that may be read. */
static int read_target(struct exchange *x, struct submission *s, const char *target, struct err *err)
{
    struct ingest_options o;
    int r = target_ingest_options(&x->svc, target, &o, err);
    if (r == 0)
        r = submission_read_target(&x->svc, s, target, &o, err);
    if (r == -ERR_NOT_FOUND || r == -ERR_UNIMPLEMENTED)
        x->error_status = 400;
    return r;
}

static int submit_json(struct exchange *x, struct submission *s, struct err *err)
{
    const char *target = json_str(x->json, "target_path", "");
    int replayed, r = set_parameters(x, s, json_object_get(x->json, "parameters"), err);
    if (r == 0)
        r = set_name(x, s, json_str(x->json, "name", NULL), err);
    if (r == 0)
        r = set_asked(x, s, json_incref(x->json), err);
    if (r < 0)
        return r;
    if (replay(x, s, &replayed, err))
        return replayed;
    s->timeout_ms = json_i64(x->json, "timeout", 0) ? json_i64(x->json, "timeout", 0) * 1000 : s->timeout_ms;
    r = check_target(x, target, err);
    if (r == 0)
        r = set_gate(x, s, x->json, err);
    if (r == 0)
        r = submission_check(&x->svc, s, err);
    if (r == 0)
        r = read_target(x, s, target, err);
    return r < 0 ? r : start(x, s, err);
}

int do_submit(struct exchange *x, struct err *err)
{
    struct submission s = SUBMISSION_INIT;
    int r = begin(x, &s, err);
    if (r == 0)
        r = body_json(x, err);
    if (r == 0)
        r = submit_json(x, &s, err);
    return end(x, &s, r, err);
}

/* The fields of a form, or of the query beside a raw body. */
static const char *given(const struct exchange *x, const char *name)
{
    const char *field = upload_field(x, name);
    return field ? field : arg_text(x, name);
}

static int read_timeout(struct exchange *x, struct submission *s, struct err *err)
{
    const char *text = upload_field(x, "timeout");
    char *end = (char *)"";
    int64_t seconds = text ? strtoll(text, &end, 10) : arg_number(x, "timeout", 0);
    if (!text && !seconds)
        return 0;
    if (*end || (text && !*text) || seconds < 1 || seconds > 604800) {
        err_set(err, ERR_INVALID, "timeout: a whole number of seconds is wanted, 1 to 604800");
        return bad_field(x, "timeout", err);
    }
    s->timeout_ms = seconds * 1000;
    return 0;
}

static int read_given(struct exchange *x, struct submission *s, struct err *err)
{
    const char *text = given(x, "parameters");
    _cleanup_json_ json_t *parameters = NULL;
    int r = text && *text ? json_parse(text, strlen(text), JSON_BODY_MAX, &parameters, err) : 0;
    if (r == 0 && parameters && !json_is_object(parameters))
        r = err_set(err, ERR_INVALID, "parameters: a JSON object is wanted");
    if (r < 0)
        return bad_field(x, "parameters", err);
    r = set_parameters(x, s, parameters, err);
    if (r == 0)
        r = read_timeout(x, s, err);
    text = upload_field(x, "name");
    if (r == 0)
        r = set_name(x, s, text ? text : arg_text(x, "run_name"), err);
    return r == 0 ? set_asked(x, s, upload_asked(x), err) : r;
}

/* "true" or "false" as a member of what set_gate() takes. */
static int read_flag(struct exchange *x, const char *name, json_t *into, struct err *err)
{
    const char *text = upload_field(x, name);
    if (!text)
        return 0;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        err_set(err, ERR_INVALID, "%s: true or false is wanted", name);
        return bad_field(x, name, err);
    }
    return json_object_set_new(into, name, json_boolean(*text == 't')) < 0 ? err_nomem(err) : 0;
}

static int read_gate(struct exchange *x, struct submission *s, struct err *err)
{
    _cleanup_json_ json_t *gate = json_pack("{s:s*, s:s*}", "fail_on", upload_field(x, "fail_on"), "baseline",
                                            upload_field(x, "baseline"));
    int r = gate ? read_flag(x, "strict", gate, err) : err_nomem(err);
    if (r == 0)
        r = read_flag(x, "no_inline_suppressions", gate, err);
    return r < 0 ? r : set_gate(x, s, gate, err);
}

/* What the sender could not send. */
static int read_notices(struct exchange *x, struct submission *s, struct err *err)
{
    const char *text = upload_field(x, "notices");
    _cleanup_json_ json_t *j = NULL;
    int r = text ? json_parse(text, strlen(text), JSON_BODY_MAX, &j, err) : 0;
    if (r == 0 && j)
        r = submission_notices(s, j, err);
    return r == -ERR_INVALID ? bad_field(x, "notices", err) : r;
}

int do_upload(struct exchange *x, struct err *err)
{
    struct submission s = SUBMISSION_INIT;
    int replayed, r = begin(x, &s, err);
    if (r == 0)
        r = read_given(x, &s, err);
    if (r == 0 && replay(x, &s, &replayed, err))
        r = replayed;
    else if (r == 0) {
        r = read_gate(x, &s, err);
        if (r == 0)
            r = submission_check(&x->svc, &s, err);
        if (r == 0)
            r = upload_take(x, &s.ingested, err);
        if (r == 0)
            r = read_notices(x, &s, err);
        if (r == 0)
            r = start(x, &s, err);
    }
    return end(x, &s, r, err);
}

/* --- one module alone ---------------------------------------------------------------------------------------------- */

static int begin_module(struct exchange *x, struct submission *s, struct err *err)
{
    int r = submission_init_module(&x->svc, arg_text(x, "module_name"), s, err);
    if (r == -ERR_INVALID) /* a broken one is the server's fault, not the client's */
        x->error_status = 409;
    return r;
}

/* What is asked for, checked by schema ModuleRun. */
static int set_module(struct exchange *x, struct submission *s, const json_t *body, struct err *err)
{
    const struct module_bounds b = {.isolation = json_str(body, "isolation", NULL),
                                    .network = json_str(body, "network", NULL),
                                    .timeout_ms = json_i64(body, "timeout", 0) * 1000,
                                    .memory_bytes = (uint64_t)json_i64(body, "memory", 0),
                                    .disk_bytes = (uint64_t)json_i64(body, "disk", 0)};
    int r = submission_module(s, json_object_get(body, "input"), &b, err);
    if (r == -ERR_INVALID)
        return bad_field(x, "input", err);
    return r < 0 ? r : set_name(x, s, json_str(body, "name", NULL), err);
}

static int run_module(struct exchange *x, struct submission *s, struct err *err)
{
    const char *target = json_str(x->json, "target_path", NULL);
    int replayed, r = set_module(x, s, x->json, err);
    if (r == 0)
        r = set_asked(x, s, json_incref(x->json), err);
    if (r == 0 && replay(x, s, &replayed, err))
        return replayed;
    if (r == 0 && !target && s->module.needs_target) {
        err_set(err, ERR_INVALID, "target_path: module '%s' needs a target", s->module.name);
        r = bad_field(x, "target_path", err);
    }
    if (r == 0 && target)
        r = check_target(x, target, err);
    if (r == 0)
        r = submission_check(&x->svc, s, err);
    if (r == 0 && target)
        r = read_target(x, s, target, err);
    return r < 0 ? r : start(x, s, err);
}

int do_run_module(struct exchange *x, struct err *err)
{
    struct submission s = SUBMISSION_INIT;
    int r = begin_module(x, &s, err);
    if (r == 0)
        r = body_json(x, err);
    if (r == 0)
        r = run_module(x, &s, err);
    return end(x, &s, r, err);
}

/* The form's fields as the members of ModuleRun. */
static int module_form(struct exchange *x, json_t *body, struct err *err)
{
    const json_t *all = json_object_get(api_schema(&x->rest->api, "ModuleRun"), "properties"), *schema;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)all, name, schema) {
        const char *text = upload_field(x, name);
        json_t *v = NULL;
        int r = !text                         ? 0
                : strcmp(name, "input") == 0 ? json_parse(text, strlen(text), JSON_BODY_MAX, &v, err)
                                              : schema_value_from_text(schema, text, &v, err);
        if (r == 0 && v)
            r = schema_apply(schema, v, name, err);
        if (v && json_object_set_new(body, name, v) < 0)
            return err_nomem(err);
        if (r < 0)
            return r == -ERR_NO_MEMORY ? r : bad_field(x, name, err);
    }
    return 0;
}

static int upload_module(struct exchange *x, struct submission *s, struct err *err)
{
    _cleanup_json_ json_t *body = json_pack("{s:s*}", "name", arg_text(x, "run_name"));
    int replayed, r = body ? module_form(x, body, err) : err_nomem(err);
    if (r == 0)
        r = set_module(x, s, body, err);
    if (r == 0)
        r = set_asked(x, s, upload_asked(x), err);
    if (r == 0 && replay(x, s, &replayed, err))
        return replayed;
    if (r == 0)
        r = submission_check(&x->svc, s, err);
    if (r == 0)
        r = upload_take(x, &s->ingested, err);
    if (r == 0)
        r = read_notices(x, s, err);
    return r < 0 ? r : start(x, s, err);
}

int do_upload_module(struct exchange *x, struct err *err)
{
    struct submission s = SUBMISSION_INIT;
    int r = begin_module(x, &s, err);
    if (r == 0)
        r = upload_module(x, &s, err);
    return end(x, &s, r, err);
}
