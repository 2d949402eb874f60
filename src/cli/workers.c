#include "cli/workers.h"

#include "api/client/remote.h"
#include "base/cleanup.h"
#include "cli/process_file.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <string.h>

#define SEEN_MS 90000 /* a poll lasts a minute: who was seen no longer ago than that may still be there */

/* One entry in list, by identity. */
static int add_poller(json_t *list, const Pb__PollerInfo *p, const char *queue, struct err *err)
{
    char time[32];
    size_t i;
    json_t *w, *found = NULL;
    int64_t seen = pbx_timestamp_ns(p->last_access_time);
    if (os_now_ns() - seen > SEEN_MS * INT64_C(1000000))
        return 0;
    json_array_foreach(list, i, w)
        if (strcmp(json_str(w, "identity", ""), p->identity) == 0)
            found = w;
    if (!found) {
        found = json_pack("{s:s, s:[], s:s, s:n}", "identity", p->identity, "queues", "last_seen", "", "pid");
        if (!found || json_array_append_new(list, found) < 0)
            return err_nomem(err);
    }
    os_format_time(seen, time);
    if (strcmp(time, json_str(found, "last_seen", "")) > 0)
        json_object_set_new(found, "last_seen", json_string(time));
    json_t *queues = json_object_get(found, "queues"), *q;
    json_array_foreach(queues, i, q)
        if (strcmp(json_string_value(q), queue) == 0)
            return 0;
    json_array_append_new(queues, json_string(queue));
    return 0;
}

static int ask_queue(struct app *app, const char *name_space, const char *vertical, Pb__TaskQueueType type, json_t *list,
                     struct err *err)
{
    Pb__DescribeTaskQueueRequest req = PB__DESCRIBE_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    ProtobufCMessage *m = NULL;
    _cleanup_free_ char *name = worker_queue_name(vertical);
    if (!name)
        return err_nomem(err);
    queue.name = name;
    req.namespace_ = name_space ? (char *)(uintptr_t)name_space : service_namespace(&app->service);
    req.task_queue = &queue;
    req.task_queue_type = type;
    int r = engine_call_sync(app->engine, ENGINE_DESCRIBE_TASK_QUEUE, &req.base, 0, &m, err);
    const Pb__DescribeTaskQueueResponse *d = (const Pb__DescribeTaskQueueResponse *)m;
    for (size_t i = 0; r == 0 && i < d->n_pollers; i++)
        r = add_poller(list, d->pollers[i], name, err);
    engine_free_message(m);
    return r;
}

/* The queues to ask for, as keys. */
static int name_verticals(struct app *app, const json_t *local, json_t *verticals, struct err *err)
{
    struct workflow_def **defs = NULL;
    size_t n = 0, i, k;
    json_t *w, *v;
    int r = app_open_toolbox(app, err);
    for (i = 0; app_verticals[i]; i++)
        json_object_set_new(verticals, app_verticals[i], json_true());
    if (r == 0)
        r = toolbox_list(app->toolbox, &defs, &n, err);
    for (i = 0; r == 0 && i < n; i++)
        if (!defs[i]->broken)
            json_object_set_new(verticals, defs[i]->vertical, json_true());
    toolbox_list_free(defs, n);
    json_array_foreach(local, i, w)
        json_array_foreach(json_object_get(w, "verticals"), k, v)
            if (json_is_string(v))
                json_object_set_new(verticals, json_string_value(v), json_true());
    return r;
}

int workers_read(struct app *app, const char *name_space, json_t **ret, struct err *err)
{
    static const char *const words[] = {"identity", "last_seen", NULL};
    if (app->client)
        return client_list(app->client, "/workers", "workers", words, ret, err);
    _cleanup_json_ json_t *list = json_array(), *verticals = json_object(), *local = NULL;
    int r = list && verticals ? process_workers(app->state_dir, &local, err) : err_nomem(err);
    if (r == 0)
        r = name_verticals(app, local, verticals, err);
    const char *vertical;
    json_t *value, *w, *l;
    size_t i, k;
    json_object_foreach(verticals, vertical, value) {
        if (r == 0)
            r = ask_queue(app, name_space, vertical, PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_WORKFLOW, list, err);
        if (r == 0)
            r = ask_queue(app, name_space, vertical, PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_ACTIVITY, list, err);
    }
    json_array_foreach(list, i, w)
        json_array_foreach(local, k, l)
            if (strcmp(json_str(w, "identity", ""), json_str(l, "identity", "")) == 0)
                json_object_set(w, "pid", json_object_get(l, "pid"));
    if (r == 0)
        *ret = json_incref(list);
    return r;
}
