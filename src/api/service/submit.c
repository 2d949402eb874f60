#include "api/service/submit.h"

#include "api/service/catalog.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "fuzz/fuzz.h"
#include "os/clock.h"
#include "os/file.h"
#include "sandbox/sandbox.h"
#include "store/owned.h"
#include "store/refs.h"
#include "store/said.h"
#include "worker/worker.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NOTICES_IN_MEMO 20

bool target_is_url(const char *spec)
{
    return strstr(spec, "://") || strncmp(spec, "git@", 4) == 0;
}

void submission_release(struct submission *s)
{
    workflow_def_free(s->def);
    json_decref(s->parameters);
    free(s->module.name);
    gate_options_release(&s->gate);
    free(s->spec);
    ingest_result_release(&s->ingested);
    store_hold_release(&s->hold);
}

/* parameters NULL: not known yet; what depends on one of them is not granted. */
static enum sandbox_network granted_network(const struct workflow_def *def, const json_t *parameters)
{
    enum sandbox_network n = SANDBOX_NET_NONE;
    if (def->network && (!def->network_if || json_flag(parameters, def->network_if, false)))
        sandbox_network_parse(def->network, &n); /* checked when the metadata was read */
    return n;
}

/* Names of this machine that a fetch would reach it by. */
static bool names_this_machine(const char *host, size_t n)
{
    static const char *const names[] = {"localhost", "[::1]", "[::]", "0.0.0.0", "0"};
    if (n >= 4 && strncmp(host, "127.", 4) == 0)
        return true;
    if (n > 10 && strncasecmp(host + n - 10, ".localhost", 10) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i]) == n && strncasecmp(names[i], host, n) == 0)
            return true;
    return false;
}

/* Without user and password: what a run keeps is read by many. */
static char *public_url(const char *url)
{
    const char *scheme = strstr(url, "://");
    if (!scheme)
        return mem_strdup(url);
    const char *host = scheme + 3, *end = host + strcspn(host, "/?#");
    const char *at = memrchr(host, '@', (size_t)(end - host));
    return mem_printf("%.*s%s", (int)(host - url), url, at ? at + 1 : host);
}

int target_allowed(const char *spec, struct err *err)
{
    bool https = strncasecmp(spec, "https://", 8) == 0;
    const char *host = spec + (https ? 8 : 0), *end = host + strcspn(host, "/?#");
    for (const char *p = host; p < end; p++)
        if (*p == '@')
            host = p + 1;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (https && host < end && !names_this_machine(host, n))
        return 0;
    _cleanup_free_ char *shown = public_url(spec);
    err_set(err, ERR_PERMISSION, "'%.100s' would be read on the server's machine, which a token does not open",
            shown ? shown : "");
    return err_hint(err, "an https:// URL of a git repository on another machine, or an upload by REST");
}

/* What the workflow grants its modules must be granted by the user first. */
static int check_network(const struct service *svc, const struct workflow_def *def, const json_t *parameters, struct err *err)
{
    if (svc->client || granted_network(def, parameters) <= svc->network_max) /* a server's own setting counts there */
        return 0;
    err_set(err, ERR_PERMISSION, "the modules of '%s' want network %s, and your setting sandbox.network grants %s",
            def->name, def->network, sandbox_network_name(svc->network_max));
    return err_hint(err, "'ff config' says where that comes from");
}

static int name_taken(const struct submission *s, struct err *err)
{
    err_set(err, ERR_EXISTS, "there is a run named '%s' already", s->id);
    return err_hint(err, "'ff runs show %s' shows it; choose another name", s->id);
}

/* What modules and a campaign's engines need, before anything is uploaded: the worker may be elsewhere, but where it is here
 * this is the machine. */
static int engines_there(const struct submission *s, struct err *err)
{
    const json_t *engines = json_object_get(s->parameters, "engines"), *uses = s->def->required_modules;
    size_t i;
    json_t *e;
    bool fuzzes = false;
    int r = 0;
    if (s->module.name)
        return s->module.fuzzes ? module_engines_check(s->module.name, json_object_get(s->parameters, "input"), err) : 0;
    json_array_foreach(uses, i, e) {
        fuzzes |= json_is_string(e) && strcmp(json_string_value(e), "fuzz_campaign") == 0;
        if (r == 0 && json_is_string(e))
            r = fuzz_module_check(json_string_value(e), err);
    }
    json_array_foreach(fuzzes ? engines : NULL, i, e)
        if (r == 0 && json_is_string(e))
            r = fuzz_engine_check(json_string_value(e), err);
    return r;
}

int submission_check(const struct service *svc, const struct submission *s, struct err *err)
{
    const struct workflow_def *def = s->def;
    if (run_exists(svc, s->id))
        return name_taken(s, err);
    if (svc->client) /* which checks the rest, where it runs */
        return 0;
    int r = service_admit(svc, 0, err); /* before a target is read for nothing */
    if (r < 0)
        return r;
    service_admitted(svc, 0);
    r = check_network(svc, def, s->parameters, err);
    if (r < 0)
        return r;
    if (granted_network(def, s->parameters) != SANDBOX_NET_FULL || spawner_protection(svc->spawner)->pasta)
        return engines_there(s, err);
    err_set(err, ERR_MISSING, "the modules of '%s' want network full, which needs pasta", def->name);
    return err_hint(err, "apt-get install passt; 'ff doctor' shows what is there");
}

static const char *const kinds[] = {[INGEST_SKIPPED] = "skipped", [INGEST_UNREADABLE] = "unreadable", [INGEST_BOUND] = "bound",
                                    [INGEST_FILTERED] = "filtered", [INGEST_CHANGED] = "changed"};

const char *target_notice_kind(enum ingest_notice_kind kind)
{
    return kinds[kind];
}

static int add_notice(struct submission *s, const json_t *n, struct err *err)
{
    const char *kind = json_str(n, "kind", ""), *path = json_str(n, "path", NULL), *text = json_str(n, "text", NULL);
    for (size_t k = 0; path && text && k < ARRAY_LEN(kinds); k++)
        if (strcmp(kinds[k], kind) == 0)
            return ingest_result_note(&s->ingested, (enum ingest_notice_kind)k, path, text, err);
    return err_set(err, ERR_INVALID, "notices: each has a kind, a path and a text");
}

int submission_notices(struct submission *s, const json_t *j, struct err *err)
{
    const json_t *list = json_object_get(j, "notices"), *n;
    int64_t dropped = json_i64(j, "dropped", 0);
    size_t i;
    int r = json_is_array(list) && dropped >= 0 ? 0 : err_set(err, ERR_INVALID, "notices: a list is wanted");
    json_array_foreach((json_t *)(uintptr_t)list, i, n) {
        if (r == 0)
            r = add_notice(s, n, err);
    }
    s->ingested.notices_dropped += r == 0 ? (size_t)dropped : 0;
    s->ingested.incomplete = s->ingested.incomplete || json_flag(j, "incomplete", false);
    return r;
}

static json_t *notices_json(const struct ingest_result *in, size_t max)
{
    json_t *list = json_array();
    for (size_t i = 0; i < in->notices_count && i < max; i++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?}", "kind", kinds[in->notices[i].kind], "path",
                                              in->notices[i].path, "text", in->notices[i].text));
    return list;
}

static json_t *target_json(const struct submission *s, size_t notices)
{
    const struct ingest_result *in = &s->ingested;
    if (!*in->tree.text)
        return json_null();
    return json_pack("{s:s, s:s?, s:s, s:s, s:I, s:I, s:b, s:b, s:o, s:I}", "name", in->name, "spec",
                     s->spec, "kind", in->kind, "ref", in->tree.text, "files",
                     (json_int_t)in->files, "bytes", (json_int_t)in->bytes, "incomplete", in->incomplete, "refused",
                     in->refused, "notices", notices_json(in, notices), "notices_total",
                     (json_int_t)(in->notices_count + in->notices_dropped));
}

static int fits(void *arg, uint64_t bytes, struct err *err)
{
    const struct service *svc = arg;
    return svc->has_room(svc->admit_arg, svc, bytes, err);
}

int target_ingest_options(const struct service *svc, const char *spec, struct ingest_options *ret, struct err *err)
{
    *ret = (struct ingest_options){.spawner = svc->spawner,
                                   .exclude_dir = svc->state_dir,
                                   .ca_file = svc->git_ca_file,
                                   .limits = svc->limits,
                                   .fits = svc->has_room ? fits : NULL,
                                   .fits_arg = (void *)(uintptr_t)svc};
    if (!target_is_url(spec) || strncmp(spec, "file://", 7) == 0)
        return 0;
    ret->tmp_dir = svc->fetch_dir;
    int r = os_mkdirs(svc->fetch_dir, 0700, err);
    return r < 0 ? r : sandbox_let_in(svc->fetch_dir, err);
}

int submission_read_target(const struct service *svc, struct submission *s, const char *spec, const struct ingest_options *o,
                           struct err *err)
{
    if (target_is_url(spec) && !(s->spec = public_url(spec)))
        return err_nomem(err);
    int r = ingest(svc->store, spec, o, &s->ingested, err);
    return r < 0 ? err_wrap(err, "target") : 0;
}

struct naming {
    const struct service *svc;
    const char *owner;
};

/* An object that a parameter names is the namespace's, and is kept as long as the run. */
static int take_object(void *arg, json_t *object, const char *ref, struct err *err)
{
    const struct naming *n = arg;
    (void)object;
    int r = store_owned(n->svc->store, service_namespace(n->svc), NULL, ref, NULL, err);
    return r == 0 ? store_pin(n->svc->store, n->owner, ref, 0, err) : r;
}

/* What stands in memo and context of this machine's paths. */
static int say_paths(const struct service *svc, struct submission *s, struct err *err)
{
    _cleanup_json_ json_t *gate = NULL;
    int r = gate_options_paths(svc, s->id, &s->gate, &gate, err);
    if (r == 0 && json_array_size(svc->module_dirs))
        r = store_say(svc->store, svc->module_dirs, &s->module_dirs, err);
    return r == 0 && gate ? store_say(svc->store, gate, NULL, err) : r;
}

static int pin(const struct service *svc, struct submission *s, struct err *err)
{
    _cleanup_free_ char *owner = store_run_owner(service_namespace(svc), s->id);
    if (!owner)
        return err_nomem(err);
    int r = refs_each(s->parameters, take_object, &(struct naming){svc, owner}, err);
    if (r < 0)
        return err_wrap(err, "parameters");
    r = store_put(svc->store, s->def->script, s->def->script_len, "text/x-lua", &s->script, err);
    if (r == 0)
        r = store_pin(svc->store, owner, s->script.text, 0, err);
    if (r == 0 && *s->ingested.tree.text)
        r = store_pin(svc->store, owner, s->ingested.tree.text, 0, err);
    return r == 0 ? say_paths(svc, s, err) : r;
}

/* Did the engine say no? Where the answer was lost the run may go on all the same, now or later. */
static bool is_refusal(int r)
{
    switch (-r) {
    case ERR_INVALID:
    case ERR_USAGE:
    case ERR_NOT_FOUND:
    case ERR_PERMISSION:
    case ERR_UNAUTHENTICATED:
    case ERR_LIMIT:
    case ERR_QUOTA:
    case ERR_UNIMPLEMENTED:
        return true;
    default:
        return false;
    }
}

/* Nothing came of it: what was read may go, if it is known that there is no run of that name, which would keep what it has, and
 * that none will be. */
static void unpin(const struct service *svc, const struct submission *s)
{
    if (!s->fresh || run_look(svc, s->id, NULL) != -ERR_NOT_FOUND)
        return;
    _cleanup_free_ char *owner = store_run_owner(service_namespace(svc), s->id);
    struct err err = {0};
    if (owner && store_unpin_owner(svc->store, owner, &err) < 0)
        log_info("%s", err.msg);
}

static json_t *run_json(const struct submission *s)
{
    return json_pack("{s:s, s:s, s:s}", "id", s->id, "workflow", s->def->name, "version", s->def->version);
}

/* What each activity of the run needs to know beside its input. What a parameter grants is for the activities that ask for it. */
static json_t *context_json(const struct workflow_def *def, enum sandbox_network granted, json_t *run, const char *module_dirs)
{
    const char *most = sandbox_network_name(granted), *network = def->network_if ? "none" : most;
    json_t *j = json_pack("{s:s, s:s, s:O?, s:s, s:s, s:o}", "vertical", def->vertical, "isolation", def->isolation, "resources",
                          def->resources, "network", network, "network_granted", most, "run", run);
    if (j && *module_dirs)
        json_object_set_new(j, "modules", json_string(module_dirs));
    return j;
}

static json_t *submission_context(const struct submission *s)
{
    json_t *j = context_json(s->def, granted_network(s->def, s->parameters), run_json(s), s->module_dirs.text);
    if (j && !*s->ingested.tree.text)
        return j;
    json_t *target = json_pack("{s:s, s:s}", "ref", s->ingested.tree.text, "name", s->ingested.name);
    if (!j || json_object_set_new(j, "target", target) < 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* Takes out of all what given has too, objects member by member. */
static void subtract(json_t *all, const json_t *given)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)given, key, v) {
        json_t *have = json_object_get(all, key);
        if (json_is_object(have) && json_is_object(v))
            subtract(have, v);
        else
            json_object_del(all, key);
    }
}

int submission_defaults(const struct service *svc, const struct workflow_def *def, const json_t *given, json_t **ret,
                        struct err *ret_refused, struct err *err)
{
    json_t *all = NULL;
    struct store_ref dirs = {0};
    int said = json_array_size(svc->module_dirs) ? store_say(svc->store, svc->module_dirs, &dirs, err) : 0;
    if (said < 0)
        return said;
    bool own_kind = given && !json_is_object(given) && !def->parameters; /* the script knows what that is */
    int r = own_kind ? 0 : workflow_def_parameters(def, given, &all, ret_refused);
    if (r == -ERR_NO_MEMORY)
        return err_copy(err, ret_refused);
    if (!all)
        all = def->default_parameters ? json_deep_copy(def->default_parameters) : json_object();
    enum sandbox_network wanted = granted_network(def, all);
    subtract(all, given);
    json_t *run = json_pack("{s:s, s:s}", "workflow", def->name, "version", def->version);
    json_t *context = context_json(def, wanted <= svc->network_max ? wanted : SANDBOX_NET_NONE, run, dirs.text);
    *ret = json_pack("{s:o, s:o}", "context", context, "parameters", all);
    return *ret ? 0 : err_nomem(err);
}

static int add_memo(Pb__Memo *memo, const char *key, json_t *value)
{
    Pb__Memo__FieldsEntry *e = mem_alloc(sizeof *e);
    Pb__Payload *p = value ? pbx_json_payload(value) : NULL;
    json_decref(value);
    if (!e || !p) {
        free(e);
        engine_free_message(p ? &p->base : NULL);
        return -ERR_NO_MEMORY;
    }
    pb__memo__fields_entry__init(e);
    e->key = mem_strdup(key);
    e->value = p;
    memo->fields[memo->n_fields++] = e;
    return e->key ? 0 : -ERR_NO_MEMORY;
}

static Pb__Memo *build_memo(const struct submission *s)
{
    Pb__Memo *m = mem_alloc(sizeof *m);
    if (!m)
        return NULL;
    pb__memo__init(m);
    m->fields = mem_calloc(6, sizeof *m->fields);
    if (!m->fields || add_memo(m, WORKER_MEMO_SCRIPT, json_string(s->script.text)) < 0 ||
        add_memo(m, MEMO_TARGET, target_json(s, NOTICES_IN_MEMO)) < 0 ||
        add_memo(m, MEMO_GATE, gate_options_json(&s->gate)) < 0 ||
        add_memo(m, MEMO_VERSION, json_string(s->def->version)) < 0 ||
        (*s->key && add_memo(m, MEMO_KEY, json_string(s->key)) < 0) ||
        (*s->asked && add_memo(m, MEMO_ASKED, json_string(s->asked)) < 0)) {
        pb__memo__free_unpacked(m, NULL);
        return NULL;
    }
    return m;
}

static Pb__Header *build_header(const struct submission *s)
{
    Pb__Header *h = mem_alloc(sizeof *h);
    Pb__Header__FieldsEntry *e = mem_alloc(sizeof *e), **list = mem_calloc(1, sizeof *list);
    _cleanup_json_ json_t *context = submission_context(s);
    Pb__Payload *p = context ? pbx_json_payload(context) : NULL;
    char *key = mem_strdup(WORKER_CONTEXT_HEADER);
    if (!h || !e || !list || !p || !key) {
        free(h);
        free(e);
        free(list);
        free(key);
        engine_free_message(p ? &p->base : NULL);
        return NULL;
    }
    pb__header__init(h);
    pb__header__fields_entry__init(e);
    e->key = key;
    e->value = p;
    list[0] = e;
    h->fields = list;
    h->n_fields = 1;
    return h;
}

static Pb__Payloads *build_input(const struct submission *s)
{
    _cleanup_json_ json_t *input = json_pack("{s:o, s:O, s:o}", "target", target_json(s, s->ingested.notices_count),
                                             "parameters", s->parameters, "run", run_json(s));
    return input ? pbx_json_payloads(input) : NULL;
}

static int start(const struct service *svc, struct submission *s, const char *request_id, struct err *err)
{
    Pb__StartWorkflowExecutionRequest *req = mem_alloc(sizeof *req);
    Pb__WorkflowType *type = mem_alloc(sizeof *type);
    Pb__TaskQueue *queue = mem_alloc(sizeof *queue);
    if (!req || !type || !queue) {
        free(req);
        free(type);
        free(queue);
        return err_nomem(err);
    }
    pb__start_workflow_execution_request__init(req);
    pb__workflow_type__init(type);
    pb__task_queue__init(queue);
    type->name = mem_strdup(s->def->name);
    queue->name = worker_queue_name(s->def->vertical);
    req->namespace_ = mem_strdup(service_namespace(svc));
    req->workflow_id = mem_strdup(s->id);
    req->request_id = mem_strdup(request_id);
    req->identity = mem_strdup("ff");
    req->workflow_type = type;
    req->task_queue = queue;
    req->input = build_input(s);
    req->memo = build_memo(s);
    req->header = build_header(s);
    req->workflow_id_reuse_policy = PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE;
    if (s->timeout_ms)
        req->workflow_execution_timeout = pbx_duration(s->timeout_ms * NS_PER_MS);
    int r = req->input && req->memo && req->header && type->name && queue->name && req->namespace_ &&
                    req->workflow_id && req->request_id && req->identity
                ? run_call(svc, ENGINE_START_WORKFLOW, &req->base, err)
                : err_nomem(err);
    pb__start_workflow_execution_request__free_unpacked(req, NULL);
    return r == -ERR_EXISTS ? name_taken(s, err) : r;
}

int submission_init(const struct service *svc, const char *workflow, struct submission *ret, struct err *err)
{
    *ret = (struct submission)SUBMISSION_INIT;
    int r = workflow_find(svc, workflow, &ret->def, err);
    if (r == 0)
        r = check_network(svc, ret->def, NULL, err);
    if (r < 0)
        return r;
    ret->timeout_ms = ret->def->timeout_ms;
    os_ulid(ret->id);
    ret->fresh = true;
    return svc->store ? store_hold_new(svc->store, &ret->hold, err) : 0;
}

int submission_name(struct submission *s, const char *name, struct err *err)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= 200 && name[0] != '-';
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)name[i]) || strchr("-_.:@+", name[i]);
    if (!ok)
        return err_set(err, ERR_INVALID, "name '%.60s': use letters, digits and - _ . : @ + (at most 200)", name);
    snprintf(s->id, sizeof s->id, "%s", name);
    s->fresh = false;
    return 0;
}

int submission_parameters(struct submission *s, const json_t *given, struct err *err)
{
    return workflow_def_parameters(s->def, given, &s->parameters, err);
}

int submission_made(const struct service *svc, const struct submission *s, struct run_info *ret, struct err *err)
{
    struct err why = {0};
    int r = *s->key ? run_read(svc, s->id, ret, &why) : -ERR_NOT_FOUND;
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    bool same = ret->key && strcmp(ret->key, s->key) == 0 && strcmp(ret->workflow, s->def->name) == 0;
    if (!same)
        run_info_release(ret);
    return same;
}

int submission_baseline_run(const struct service *svc, struct gate_options *g, struct err *err)
{
    _cleanup_free_ char *id = NULL;
    struct err why = {0};
    struct run_info run = {0};
    int r = run_resolve(svc, g->baseline, &id, &why);
    if (r == 0)
        r = run_read(svc, id, &run, &why);
    if (r == 0 && !run.closed)
        r = err_set(&why, ERR_STATE, "the run has not ended yet");
    run_info_release(&run);
    if (r == 0 && id[0] == '/')
        r = err_set(&why, ERR_INVALID, "its name would be taken for a file's");
    if (r < 0)
        return r == -ERR_NO_MEMORY ? err_copy(err, &why)
                                   : err_set(err, ERR_USAGE, "baseline %s: %s", g->baseline, why.msg);
    free(g->baseline);
    g->baseline = TAKE_PTR(id);
    return 0;
}

int submission_start(const struct service *svc, struct submission *s, struct err *err)
{
    char fresh[37];
    os_uuid(fresh);
    int r = svc->need_namespace ? svc->need_namespace(svc->need_namespace_arg, service_namespace(svc), err) : 0;
    if (r == 0)
        r = service_admit(svc, s->ingested.bytes, err);
    if (r < 0)
        return r;
    r = pin(svc, s, err);
    bool asked = r == 0;
    if (asked)
        r = start(svc, s, *s->key ? s->key : fresh, err);
    service_admitted(svc, s->ingested.bytes);
    if (!asked || is_refusal(r))
        unpin(svc, s);
    return r;
}
