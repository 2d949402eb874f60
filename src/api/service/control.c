#include "api/service/control.h"

#include "api/client/remote.h"
#include "api/service/run.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbjson.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "store/owned.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define IDENTITY ((char *)(uintptr_t) "ff")

static Pb__WorkflowExecution execution(const char *id)
{
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    ex.workflow_id = (char *)(uintptr_t)id;
    return ex;
}

int run_cancel(const struct service *svc, const char *id, const char *reason, struct err *err)
{
    if (svc->client)
        return client_run_end(svc->client, id, "cancel", reason, err);
    Pb__RequestCancelWorkflowExecutionRequest req = PB__REQUEST_CANCEL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    char request_id[37];
    os_uuid(request_id);
    req.namespace_ = service_namespace(svc);
    req.workflow_execution = &ex;
    req.request_id = request_id;
    req.identity = IDENTITY;
    req.reason = (char *)(uintptr_t)(reason ? reason : "");
    return engine_call_sync(svc->engine, ENGINE_REQUEST_CANCEL, &req.base, 0, NULL, err);
}

int run_terminate(const struct service *svc, const char *id, const char *reason, struct err *err)
{
    if (svc->client)
        return client_run_end(svc->client, id, "terminate", reason, err);
    Pb__TerminateWorkflowExecutionRequest req = PB__TERMINATE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    req.namespace_ = service_namespace(svc);
    req.workflow_execution = &ex;
    req.identity = IDENTITY;
    req.reason = (char *)(uintptr_t)(reason ? reason : "terminated by ff");
    return engine_call_sync(svc->engine, ENGINE_TERMINATE, &req.base, 0, NULL, err);
}

int run_signal(const struct service *svc, const char *id, const char *name, const json_t *value, const char *request_id,
               struct err *err)
{
    if (svc->client)
        return client_run_signal(svc->client, id, name, value, request_id, err);
    Pb__SignalWorkflowExecutionRequest req = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    char fresh[37];
    os_uuid(fresh);
    req.namespace_ = service_namespace(svc);
    req.workflow_execution = &ex;
    req.signal_name = (char *)(uintptr_t)name;
    req.request_id = (char *)(uintptr_t)(request_id ? request_id : fresh);
    req.identity = IDENTITY;
    req.input = value ? pbx_json_payloads(value) : NULL;
    if (value && !req.input)
        return err_nomem(err);
    int r = engine_call_sync(svc->engine, ENGINE_SIGNAL_WORKFLOW, &req.base, 0, NULL, err);
    engine_free_message(req.input ? &req.input->base : NULL);
    return r;
}

int run_query(const struct service *svc, const char *id, const char *name, const json_t *value, json_t **ret,
              struct err *err)
{
    if (svc->client)
        return client_run_query(svc->client, id, name, value, ret, err);
    Pb__QueryWorkflowRequest req = PB__QUERY_WORKFLOW_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    Pb__WorkflowQuery q = PB__WORKFLOW_QUERY__INIT;
    ProtobufCMessage *m = NULL;
    req.namespace_ = service_namespace(svc);
    req.execution = &ex;
    q.query_type = (char *)(uintptr_t)name;
    q.query_args = value ? pbx_json_payloads(value) : NULL;
    if (value && !q.query_args)
        return err_nomem(err);
    req.query = &q;
    int r = engine_call_sync(svc->engine, ENGINE_QUERY, &req.base, 0, &m, err);
    engine_free_message(q.query_args ? &q.query_args->base : NULL);
    if (r < 0)
        return r;
    r = pbx_payloads_json(((Pb__QueryWorkflowResponse *)m)->query_result, 0, ret, err);
    engine_free_message(m);
    return r;
}

/* The first event of the run's last execution. */
static int read_start(const struct service *svc, const char *id, ProtobufCMessage **ret,
                      const Pb__WorkflowExecutionStartedEventAttributes **ret_started, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    req.namespace_ = service_namespace(svc);
    req.execution = &ex;
    req.maximum_page_size = 1;
    int r = engine_call_sync(svc->engine, ENGINE_GET_HISTORY, &req.base, 0, ret, err);
    if (r < 0)
        return r;
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)*ret)->history;
    *ret_started = h && h->n_events ? h->events[0]->workflow_execution_started_event_attributes : NULL;
    if (*ret_started)
        return 0;
    engine_free_message(*ret);
    return err_set(err, ERR_CORRUPT, "run '%s' has no first event", id);
}

static Pb__Memo__FieldsEntry *memo_entry(const Pb__Memo *memo, const char *key)
{
    for (size_t i = 0; memo && i < memo->n_fields; i++)
        if (strcmp(memo->fields[i]->key, key) == 0)
            return memo->fields[i];
    return NULL;
}

#define RETRIES_MAX 32

/* A memo that borrows its fields, but for one. */
struct retry_memo {
    Pb__Memo memo;
    Pb__Memo__FieldsEntry **fields, retries;
    ProtobufCMessage *described;
};

static void retry_memo_release(struct retry_memo *m)
{
    engine_free_message(m->retries.value ? &m->retries.value->base : NULL);
    free(m->fields);
    engine_free_message(m->described);
}

/* request_id joins those of the retries before, so that the same request again is known, also behind another one. */
static int add_retry(struct retry_memo *m, const char *request_id, struct err *err)
{
    _cleanup_json_ json_t *list = NULL;
    Pb__Memo__FieldsEntry *old = memo_entry(&m->memo, MEMO_RETRIES);
    if (old && (pbx_payload_json(old->value, &list, NULL) < 0 || !json_is_array(list))) {
        json_decref(list);
        list = NULL;
    }
    if (!list && !(list = json_array()))
        return err_nomem(err);
    if (json_array_size(list) >= RETRIES_MAX)
        json_array_remove(list, 0);
    pb__memo__fields_entry__init(&m->retries);
    m->retries.key = (char *)(uintptr_t)MEMO_RETRIES;
    if (json_array_append_new(list, json_string(request_id)) < 0 || !(m->retries.value = pbx_json_payload(list)))
        return err_nomem(err);
    for (size_t i = 0; i < m->memo.n_fields; i++)
        if (m->fields[i] == old)
            m->fields[i] = &m->retries;
    if (!old)
        m->fields[m->memo.n_fields++] = &m->retries;
    return 0;
}

/* That of the run's start. A worker pins a run that another client started when it takes it up: this goes along too. */
static int retry_memo_make(const struct service *svc, const char *id, const Pb__Memo *start, struct retry_memo *ret,
                           struct err *err)
{
    static const char *const pins[] = {WORKER_MEMO_SCRIPT, WORKER_MEMO_DEFAULTS};
    *ret = (struct retry_memo){.memo = PB__MEMO__INIT};
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    req.namespace_ = service_namespace(svc);
    req.execution = &ex;
    bool pinned = memo_entry(start, WORKER_MEMO_SCRIPT);
    int r = pinned ? 0 : engine_call_sync(svc->engine, ENGINE_DESCRIBE, &req.base, 0, &ret->described, err);
    if (r < 0)
        return r;
    size_t n = start ? start->n_fields : 0;
    ret->memo.fields = ret->fields = mem_calloc(n + ARRAY_LEN(pins) + 1, sizeof *ret->fields);
    if (!ret->fields)
        return err_nomem(err);
    for (; ret->memo.n_fields < n; ret->memo.n_fields++)
        ret->fields[ret->memo.n_fields] = start->fields[ret->memo.n_fields];
    const Pb__DescribeWorkflowExecutionResponse *d = (void *)ret->described;
    const Pb__Memo *now = d && d->workflow_execution_info ? d->workflow_execution_info->memo : NULL;
    for (size_t i = 0; i < ARRAY_LEN(pins); i++) {
        Pb__Memo__FieldsEntry *e = memo_entry(start, pins[i]) ? NULL : memo_entry(now, pins[i]);
        if (e)
            ret->fields[ret->memo.n_fields++] = e;
    }
    return 0;
}

static int still_running(const char *id, struct err *err)
{
    err_set(err, ERR_STATE, "run '%s' is still running", id);
    return err_hint(err, "'ff runs wait %s' follows it, 'ff runs cancel %s' stops it", id, id);
}

static bool is_open(const struct service *svc, const char *id)
{
    struct run_info run;
    if (run_read(svc, id, &run, NULL) < 0)
        return false;
    bool open = !run.closed;
    run_info_release(&run);
    return open;
}

int run_retry(const struct service *svc, const char *id, const char *request_id, struct err *err)
{
    if (svc->client)
        return client_run_retry(svc->client, id, request_id, err);
    ProtobufCMessage *m;
    const Pb__WorkflowExecutionStartedEventAttributes *s;
    _cleanup_(retry_memo_release) struct retry_memo memo = {0};
    int r = read_start(svc, id, &m, &s, err);
    if (r < 0)
        return r;
    char fresh[37];
    os_uuid(fresh);
    r = retry_memo_make(svc, id, s->memo, &memo, err);
    if (r == 0)
        r = add_retry(&memo, request_id ? request_id : fresh, err);
    if (r < 0) {
        engine_free_message(m);
        return r;
    }
    Pb__StartWorkflowExecutionRequest req = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    req.namespace_ = service_namespace(svc);
    req.workflow_id = (char *)(uintptr_t)id;
    req.request_id = (char *)(uintptr_t)(request_id ? request_id : fresh);
    req.identity = IDENTITY;
    req.workflow_type = s->workflow_type;
    req.task_queue = s->task_queue;
    req.input = s->input;
    req.memo = &memo.memo;
    req.header = s->header;
    req.workflow_execution_timeout = s->workflow_execution_timeout;
    req.workflow_id_reuse_policy = PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    r = service_admit(svc, 0, err);
    if (r == 0) {
        r = engine_call_sync(svc->engine, ENGINE_START_WORKFLOW, &req.base, 0, NULL, err);
        service_admitted(svc, 0);
    } else if (is_open(svc, id)) { /* then it is not for want of a place that it is not begun again */
        r = -ERR_EXISTS;
    }
    engine_free_message(m);
    return r == -ERR_EXISTS ? still_running(id, err) : r;
}

int run_delete_execution(const struct service *svc, const char *id, const char *execution_id, struct err *err)
{
    _cleanup_free_ char *owner = store_run_owner(service_namespace(svc), id);
    if (!owner)
        return err_nomem(err);
    int r = store_unpin_owner(svc->store, owner, err);
    if (r == 0)
        r = workspaces_forget(svc->workspaces, execution_id, err);
    if (r < 0)
        return r;
    Pb__DeleteWorkflowExecutionRequest req = PB__DELETE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution e = execution(id);
    e.run_id = (char *)(uintptr_t)execution_id;
    req.namespace_ = service_namespace(svc);
    req.workflow_execution = &e;
    r = engine_call_sync(svc->engine, ENGINE_DELETE, &req.base, 0, NULL, err);
    return r == -ERR_NOT_FOUND ? 0 : r;
}

int run_delete_old(const struct service *svc, const char *id, const char *execution_id, int64_t before_ns, bool *ret_removed,
                   struct err *err)
{
    struct run_info run;
    struct err why = {0};
    int r = run_read(svc, id, &run, &why);
    *ret_removed = r < 0 || (run.finished_ns && run.finished_ns < before_ns);
    if (r == 0)
        run_info_release(&run);
    if (r < 0 && err_retryable(r))
        return err_copy(err, &why);
    return *ret_removed ? run_delete_execution(svc, id, execution_id, err) : 0;
}

int run_delete(const struct service *svc, const char *id, bool wait, struct err *err)
{
    if (svc->client)
        return client_run_delete(svc->client, id, wait, err);
    for (bool found = false; !found || wait; found = true) {
        struct run_info run;
        int r = run_read(svc, id, &run, err);
        if (r < 0)
            return r == -ERR_NOT_FOUND && found ? 0 : r;
        if (!run.finished_ns) { /* one that went on as another is finished, and has not closed the run */
            err_set(err, ERR_STATE, "run '%s' is still running", id);
            r = err_hint(err, "cancel it first");
        } else {
            r = run_delete_execution(svc, id, run.execution_id, err);
        }
        run_info_release(&run);
        if (r < 0)
            return r;
    }
    return 0;
}

int run_each_event(const struct service *svc, const char *id, int64_t from_id, run_event_fn *one, void *arg, struct err *err)
{
    return run_each_event_of(svc, id, "", from_id, one, arg, err);
}

int run_each_event_of(const struct service *svc, const char *id, const char *execution_id, int64_t from_id, run_event_fn *one,
                      void *arg, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = execution(id);
    ex.run_id = (char *)(uintptr_t)execution_id;
    ProtobufCBinaryData token = {0};
    int r;
    req.namespace_ = service_namespace(svc);
    req.execution = &ex;
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        r = engine_call_sync(svc->engine, ENGINE_GET_HISTORY, &req.base, 0, &m, err);
        free(token.data);
        token = (ProtobufCBinaryData){0};
        if (r < 0)
            return r;
        Pb__GetWorkflowExecutionHistoryResponse *a = (Pb__GetWorkflowExecutionHistoryResponse *)m;
        for (size_t i = 0; r == 0 && a->history && i < a->history->n_events; i++)
            if (a->history->events[i]->event_id >= from_id)
                r = one(arg, a->history->events[i], err);
        token = a->next_page_token;
        a->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (r == 0 && token.len);
    free(token.data);
    return r < 0 ? r : 0;
}

struct documents {
    int (*one)(void *arg, const json_t *event, struct err *err);
    void *arg;
};

static int give_document(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    struct documents *d = arg;
    _cleanup_json_ json_t *j = pbjson_encode(&e->base);
    return j ? d->one(d->arg, j, err) : err_nomem(err);
}

int run_each_document(const struct service *svc, const char *id, int (*one)(void *arg, const json_t *event, struct err *err),
                      void *arg, struct err *err)
{
    if (svc->client)
        return client_each_document(svc->client, id, one, arg, err);
    return run_each_event(svc, id, 0, give_document, &(struct documents){one, arg}, err);
}
