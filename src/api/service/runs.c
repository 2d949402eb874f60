#include "api/service/runs.h"

#include "api/service/run.h"
#include "api/client/remote.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "store/owned.h"
#include "store/tree.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#define PAGE_MAX 1000
#define TREES_MAX 16384
#define TREES_NS (200 * NS_PER_MS)

int runs_filter(const char *status, const char *workflow, const char *query, struct strbuf *q, struct err *err)
{
    static const struct {
        const char *word, *status;
    } words[] = {{"running", "Running"},     {"completed", "Completed"},   {"failed", "Failed"},
                 {"cancelled", "Canceled"},  {"terminated", "Terminated"}, {"timed_out", "TimedOut"}};
    if (status) {
        const char *found = NULL;
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (strcasecmp(words[i].word, status) == 0)
                found = words[i].status;
        if (!found)
            return err_set(err, ERR_USAGE,
                           "status '%.40s': one of running completed failed cancelled terminated timed_out", status);
        strbuf_printf(q, "ExecutionStatus = '%s'", found);
    }
    if (workflow && strspn(workflow, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != strlen(workflow))
        return err_set(err, ERR_USAGE, "'%.60s' is no name of a workflow", workflow);
    if (workflow)
        strbuf_printf(q, "%sWorkflowType = '%.200s'", q->len ? " AND " : "", workflow);
    if (query)
        strbuf_printf(q, "%s(%s)", q->len ? " AND " : "", query);
    return strbuf_check(q, err);
}

/* New reference, or NULL. */
static json_t *target_of(const Pb__Memo *memo)
{
    json_t *j = NULL;
    for (size_t i = 0; memo && i < memo->n_fields; i++)
        if (strcmp(memo->fields[i]->key, MEMO_TARGET) == 0)
            return pbx_payload_json(memo->fields[i]->value, &j, NULL) == 0 ? j : NULL;
    return NULL;
}

static void give(const Pb__WorkflowExecutionInfo *i, void (*one)(void *arg, const struct run_item *item), void *arg)
{
    _cleanup_json_ json_t *target = target_of(i->memo);
    struct run_item item = {.run_id = i->execution->workflow_id,
                            .execution_id = i->execution->run_id,
                            .workflow = i->type ? i->type->name : "",
                            .status = run_status_name(i->status),
                            .target = json_str(target, "name", ""),
                            .target_ref = json_str(target, "ref", ""),
                            .target_bytes = json_i64(target, "bytes", 0) > 0 ? (uint64_t)json_i64(target, "bytes", 0) : 0,
                            .history_bytes = i->history_size_bytes > 0 ? (uint64_t)i->history_size_bytes : 0,
                            .started_ns = pbx_timestamp_ns(i->start_time),
                            .finished_ns = pbx_timestamp_ns(i->close_time)};
    one(arg, &item);
}

int runs_list(const struct service *svc, const char *filter, size_t limit, ProtobufCBinaryData *io_token,
              void (*one)(void *arg, const struct run_item *item), void *arg, struct err *err)
{
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    size_t shown = 0;
    if (svc->client)
        return client_runs_list(svc->client, filter, limit, io_token, one, arg, err);
    req.namespace_ = service_namespace(svc);
    req.query = (char *)(uintptr_t)filter;
    do {
        ProtobufCMessage *m;
        req.next_page_token = *io_token;
        req.page_size = (int32_t)(limit - shown < PAGE_MAX ? limit - shown : PAGE_MAX);
        int r = engine_call_sync(svc->engine, ENGINE_LIST, &req.base, 0, &m, err);
        free(io_token->data);
        *io_token = (ProtobufCBinaryData){0};
        if (r < 0)
            return r;
        Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
        for (size_t i = 0; i < l->n_executions && shown < limit; i++, shown++)
            give(l->executions[i], one, arg);
        *io_token = l->next_page_token;
        l->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (io_token->len && shown < limit);
    return 0;
}

/* Is there a later execution of it? */
static bool was_followed(const struct service *svc, const struct run_item *item)
{
    Pb__DescribeWorkflowExecutionRequest q = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    ProtobufCMessage *m;
    x.workflow_id = (char *)(uintptr_t)item->run_id;
    q.namespace_ = service_namespace(svc);
    q.execution = &x;
    if (engine_call_sync(svc->engine, ENGINE_DESCRIBE, &q.base, 0, &m, NULL) < 0)
        return false;
    const Pb__DescribeWorkflowExecutionResponse *d = (const Pb__DescribeWorkflowExecutionResponse *)m;
    bool followed = strcmp(d->workflow_execution_info->execution->run_id, item->execution_id) != 0;
    engine_free_message(m);
    return followed;
}

struct current {
    const struct service *svc;
    struct map seen; /* the later ones come first */
    bool whole;      /* all of the later ones have come */
    size_t given;
    void (*one)(void *arg, const struct run_item *item);
    void *arg;
};

static void give_current(void *arg, const struct run_item *item)
{
    struct current *c = arg;
    if (map_get(&c->seen, item->run_id))
        return;
    map_set(&c->seen, item->run_id, c);
    if (!c->whole && item->finished_ns && was_followed(c->svc, item))
        return;
    c->given++;
    c->one(c->arg, item);
}

int runs_list_current(const struct service *svc, const char *filter, size_t limit, ProtobufCBinaryData *io_token,
                      void (*one)(void *arg, const struct run_item *item), void *arg, struct err *err)
{
    struct current c = {.svc = svc, .whole = !*filter && !io_token->len, .one = one, .arg = arg};
    int r;
    if (svc->client) /* whose server leaves them out */
        return runs_list(svc, filter, limit, io_token, one, arg, err);
    do {
        r = runs_list(svc, filter, limit - c.given, io_token, give_current, &c, err);
    } while (r == 0 && io_token->len && c.given < limit);
    map_release(&c.seen);
    return r;
}

/* A number as a map's value, which is not NULL. */
static void *as_value(uint64_t n)
{
    return (void *)(uintptr_t)(n + 1);
}

static uint64_t of_value(const void *v)
{
    return (uint64_t)(uintptr_t)v - 1;
}

struct targets {
    struct map seen; /* by reference: bytes */
    void (*each)(void *arg, const struct run_item *item);
    void *arg;
    uint64_t bytes;
    bool failed;
};

static void add_target(void *arg, const struct run_item *item)
{
    struct targets *t = arg;
    if (t->each)
        t->each(t->arg, item);
    t->bytes += item->history_bytes;
    const void *was = *item->target_ref ? map_get(&t->seen, item->target_ref) : NULL;
    uint64_t counted = was ? of_value(was) : 0;
    if (!*item->target_ref || (was && item->target_bytes <= counted))
        return;
    t->bytes += item->target_bytes - counted;
    t->failed = t->failed || !map_set(&t->seen, item->target_ref, as_value(item->target_bytes));
}

/* What trees hold, by reference: it never changes. */
static struct {
    pthread_mutex_t lock;
    struct map bytes;
} trees = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const void *known_tree(const char *ref)
{
    pthread_mutex_lock(&trees.lock);
    const void *v = map_get(&trees.bytes, ref);
    pthread_mutex_unlock(&trees.lock);
    return v;
}

static void note_tree(const char *ref, uint64_t bytes)
{
    pthread_mutex_lock(&trees.lock);
    if (trees.bytes.len >= TREES_MAX)
        map_clear(&trees.bytes);
    map_set(&trees.bytes, ref, as_value(bytes)); /* when memory is out it is read again */
    pthread_mutex_unlock(&trees.lock);
}

static uint64_t find_bytes(const struct service *svc, const char *ref)
{
    struct store_object_info info;
    struct tree *tree;
    if (store_stat(svc->store, ref, &info, NULL) < 0)
        return 0;
    if (strcmp(info.media_type, STORE_TREE_MEDIA_TYPE) != 0 || tree_open(svc->store, ref, &tree, NULL) < 0)
        return info.size_bytes;
    uint64_t n = tree_total_bytes(tree);
    tree_free(tree);
    return n;
}

uint64_t runs_true_bytes(const struct service *svc, const char *ref, uint64_t said, int64_t until_ns)
{
    const void *known = known_tree(ref);
    uint64_t n = known ? of_value(known) : 0;
    if (!known && os_mono_ns() < until_ns) {
        n = find_bytes(svc, ref);
        note_tree(ref, n);
    }
    return n > said ? n : said;
}

/* Memos are the word of whoever started these runs. */
static void check_targets(const struct service *svc, struct targets *t)
{
    int64_t until = os_mono_ns() + TREES_NS;
    MAP_EACH(&t->seen, e) {
        uint64_t said = of_value(e->value);
        t->bytes += runs_true_bytes(svc, e->key, said, until) - said;
    }
}

struct results {
    const struct service *svc;
    struct targets *t;
    struct map looked; /* by reference */
    char prefix[80]; /* of the owners of the namespace's pins */
    int64_t until_ns; /* the time for trees that are not known; later ones are read when it is asked again */
};

/* The bytes of an object that a run has pinned; of a target, all that it holds: its run's memo is its client's word alone. */
static int pinned_bytes(const struct results *s, const char *ref, uint64_t *ret, struct err *err)
{
    const void *known = known_tree(ref);
    struct store_object_info info;
    struct tree *tree;
    if (known) {
        *ret = of_value(known);
        return 0;
    }
    int r = store_stat(s->svc->store, ref, &info, err);
    if (r < 0)
        return r;
    *ret = info.size_bytes;
    if (strcmp(info.media_type, STORE_TREE_MEDIA_TYPE) != 0 || os_mono_ns() > s->until_ns)
        return 0;
    r = tree_open(s->svc->store, ref, &tree, err);
    if (r < 0)
        return r;
    *ret = tree_total_bytes(tree);
    tree_free(tree);
    note_tree(ref, *ret);
    return 0;
}

static int add_result(void *arg, const char *owner, const char *ref, struct err *err)
{
    struct results *s = arg;
    const void *was = map_get(&s->t->seen, ref);
    uint64_t counted = was ? of_value(was) : 0, bytes;
    if (strncmp(owner, s->prefix, strlen(s->prefix)) != 0 || map_get(&s->looked, ref))
        return 0;
    int r = pinned_bytes(s, ref, &bytes, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND || r == -ERR_CORRUPT ? 0 : r;
    s->t->bytes += bytes > counted ? bytes - counted : 0;
    return map_set(&s->looked, ref, s) ? 0 : err_nomem(err);
}

static int add_results(const struct service *svc, struct targets *t, struct err *err)
{
    struct results s = {.svc = svc, .t = t, .until_ns = os_mono_ns() + TREES_NS};
    _cleanup_free_ char *prefix = store_run_owner(service_namespace(svc), "");
    if (!prefix)
        return err_nomem(err);
    snprintf(s.prefix, sizeof s.prefix, "%s", prefix);
    int r = store_each_pin(svc->store, add_result, &s, err);
    map_release(&s.looked);
    return r;
}

int runs_stored_bytes(const struct service *svc, bool results, void (*each)(void *arg, const struct run_item *item), void *arg,
                      uint64_t *ret, struct err *err)
{
    struct targets t = {.each = each, .arg = arg};
    ProtobufCBinaryData token = {0};
    int r = 0;
    do
        r = runs_list(svc, "", PAGE_MAX, &token, add_target, &t, err);
    while (r == 0 && token.len && !t.failed);
    free(token.data);
    if (r == 0 && t.failed)
        r = err_nomem(err);
    if (r == 0 && results)
        r = add_results(svc, &t, err);
    else if (r == 0)
        check_targets(svc, &t);
    map_release(&t.seen);
    *ret = t.bytes;
    return r;
}

json_t *run_item_json(const struct run_item *i)
{
    char started[32], finished[32];
    int64_t ms = ((i->finished_ns ? i->finished_ns : os_now_ns()) - i->started_ns) / NS_PER_MS;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:I}", "run_id", i->run_id, "execution_id", i->execution_id,
                     "workflow", i->workflow, "status", i->status, "target", i->target, "started_at",
                     os_format_time(i->started_ns, started), "finished_at",
                     i->finished_ns ? os_format_time(i->finished_ns, finished) : NULL, "duration_ms", (json_int_t)ms);
}
