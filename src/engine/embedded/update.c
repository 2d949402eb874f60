#include "engine/embedded/update.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/event.h"
#include "engine/embedded/history.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <stdio.h>
#include <string.h>

/* Temporal's limits. */
#define IN_FLIGHT_MAX 10
#define TOTAL_MAX 2000
#define WAIT_MS 20000

#define MESSAGE_SUFFIX "/request"
#define TYPE_PREFIX "type.googleapis.com/"
#define TYPE_PACKAGE "temporal.api.update.v1."

typedef Pb__UpdateWorkflowExecutionLifecycleStage stage_t;
#define STAGE(NAME) PB__UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE__UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_##NAME
#define CAUSE(NAME) PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_##NAME

static stage_t stage_of(const Pb__EmbeddedUpdate *u)
{
    return u->completed_id || u->rejected ? STAGE(COMPLETED) : u->accepted_id ? STAGE(ACCEPTED) : STAGE(ADMITTED);
}

Pb__EmbeddedUpdate *update_find(const struct run *run, const char *update_id)
{
    for (size_t i = 0; i < run->s->n_updates; i++)
        if (strcmp(run->s->updates[i]->update_id, update_id) == 0)
            return run->s->updates[i];
    return NULL;
}

static void drop(struct run *run, size_t i)
{
    Pb__EmbeddedRun *s = run->s;
    pb__embedded_update__free_unpacked(s->updates[i], NULL);
    s->n_updates--;
    memmove(&s->updates[i], &s->updates[i + 1], (s->n_updates - i) * sizeof *s->updates);
}

static Pb__EmbeddedUpdate *add(struct eng *e, struct run *run, const Pb__UpdateRequest *request, const char *update_id)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__EmbeddedUpdate *u = mem_alloc(sizeof *u);
    Pb__EmbeddedUpdate **list = mem_realloc(s->updates, (s->n_updates + 1) * sizeof *list);
    if (list)
        s->updates = list;
    if (!u || !list) {
        free(u);
        eng_nomem(e);
        return NULL;
    }
    pb__embedded_update__init(u);
    list[s->n_updates++] = u;
    run_dirty(e, run);
    str_set(e, &u->update_id, update_id);
    msg_set(e, &u->request, request);
    if (u->request && u->request->meta)
        str_set(e, &u->request->meta->update_id, update_id); /* the caller may have left it to us */
    return u;
}

int update_admit(struct eng *e, struct run *run, const Pb__UpdateRequest *request, const char *update_id,
                 struct err *err)
{
    size_t in_flight = 0;
    for (size_t i = 0; i < run->s->n_updates; i++)
        in_flight += !run->s->updates[i]->completed_id;
    if (in_flight >= IN_FLIGHT_MAX)
        return err_set(err, ERR_LIMIT, "limit on number of concurrent in-flight updates has been reached (%d)",
                       IN_FLIGHT_MAX);
    if (run->s->n_updates >= TOTAL_MAX)
        return err_set(err, ERR_STATE,
                       "The limit on the total number of distinct updates in this workflow has been reached (%d). "
                       "Make sure that repeats of an update have its update id, or continue as new.",
                       TOTAL_MAX);
    add(e, run, request, update_id);
    if (wtask_state(run) == WTASK_NONE && !run->completing && !run->s->first_task_ns)
        wtask_schedule_speculative(e, run);
    else if (run->s->task_backoff)
        wtask_wake(e, run); /* it may be what the workflow waits for */
    return 0;
}

void update_admitted(struct eng *e, struct run *run, const char *update_id)
{
    add(e, run, NULL, update_id);
}

/* --- with the workflow task ----------------------------------------------------------------------- */

static bool to_send(const Pb__EmbeddedUpdate *u)
{
    return !u->accepted_id && !u->rejected && !u->sent_stamp;
}

void updates_send(struct run *run)
{
    for (size_t i = 0; i < run->s->n_updates; i++)
        if (to_send(run->s->updates[i]))
            run->s->updates[i]->sent_stamp = run->s->task_stamp;
}

void updates_unsend(struct run *run)
{
    for (size_t i = 0; i < run->s->n_updates; i++)
        run->s->updates[i]->sent_stamp = 0;
}

bool updates_unsent(const struct run *run)
{
    for (size_t i = 0; i < run->s->n_updates; i++)
        if (to_send(run->s->updates[i]))
            return true;
    return false;
}

/* NULL after a fault. */
static Pb__ProtocolMessage *message_of(struct eng *e, const struct run *run, const Pb__EmbeddedUpdate *u)
{
    Pb__ProtocolMessage *m = mem_alloc(sizeof *m);
    Pb__Any *any = mem_alloc(sizeof *any);
    char id[ENGINE_ID_MAX + sizeof MESSAGE_SUFFIX];
    if (!m || !any) {
        free(m);
        free(any);
        eng_nomem(e);
        return NULL;
    }
    pb__protocol_message__init(m);
    pb__any__init(any);
    m->body = any;
    snprintf(id, sizeof id, "%s" MESSAGE_SUFFIX, u->update_id);
    str_set(e, &m->id, id);
    str_set(e, &m->protocol_instance_id, u->update_id);
    m->sequencing_id_case = PB__PROTOCOL_MESSAGE__SEQUENCING_ID_EVENT_ID;
    m->event_id = run->s->task_started_id - 1;
    str_set(e, &any->type_url, TYPE_PREFIX TYPE_PACKAGE "Request");
    if (pbx_pack(&u->request->base, &any->value.data, &any->value.len, NULL) < 0)
        eng_nomem(e);
    return m;
}

void updates_fill_task(struct eng *e, struct run *run, Pb__PollWorkflowTaskQueueResponse *r)
{
    const Pb__EmbeddedRun *s = run->s;
    if (!s->n_updates)
        return;
    r->messages = mem_calloc(s->n_updates, sizeof *r->messages);
    if (!r->messages) {
        eng_nomem(e);
        return;
    }
    for (size_t i = 0; i < s->n_updates; i++) {
        const Pb__EmbeddedUpdate *u = s->updates[i];
        if (u->accepted_id || !u->request || u->sent_stamp != s->task_stamp)
            continue;
        if ((r->messages[r->n_messages] = message_of(e, run, u)))
            r->n_messages++;
    }
}

/* --- what the worker answers ----------------------------------------------------------------------- */

/* "Acceptance", "Rejection", "Response"; "" if it is none of that protocol. */
static const char *kind_of(const Pb__ProtocolMessage *m)
{
    const char *url = m->body ? m->body->type_url : "", *slash = strrchr(url, '/');
    const char *name = slash ? slash + 1 : url;
    return strncmp(name, TYPE_PACKAGE, sizeof TYPE_PACKAGE - 1) == 0 ? name + sizeof TYPE_PACKAGE - 1 : "";
}

bool update_is_rejection(const Pb__ProtocolMessage *m)
{
    return strcmp(kind_of(m), "Rejection") == 0;
}

/* The body as a message in the arena's stead: freed by the caller. NULL: *err is set. */
static ProtobufCMessage *body_of(const Pb__ProtocolMessage *m, const ProtobufCMessageDescriptor *d, struct err *err)
{
    ProtobufCMessage *body = NULL;
    pbx_unpack(d, m->body->value.data, m->body->value.len, &body, err);
    return body;
}

typedef Pb__WorkflowTaskFailedCause cause_t;

static cause_t refuse(struct err *err, const char *update_id, const char *what)
{
    err_set(err, ERR_INVALID, "update %.200s: %s", update_id, what);
    return CAUSE(BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE);
}

static cause_t unknown(struct err *err, const char *update_id)
{
    return refuse(err, update_id, "wasn't found on the server. This is most likely a transient error which will be "
                                  "resolved automatically by retries");
}

static cause_t accept(struct eng *e, struct run *run, const Pb__ProtocolMessage *m, const Pb__UpdateAcceptance *body,
                      struct err *err)
{
    const char *id = m->protocol_instance_id;
    if (!body->accepted_request_sequencing_event_id || !*body->accepted_request_message_id)
        return refuse(err, id, "accepted_request_sequencing_event_id or accepted_request_message_id is not set");
    Pb__EmbeddedUpdate *u = update_find(run, id);
    if (!u && body->accepted_request && *id && strlen(id) <= ENGINE_ID_MAX) /* it was lost here, the worker has it still */
        u = add(e, run, body->accepted_request, id);
    if (!u)
        return unknown(err, id);
    if (u->accepted_id || u->rejected)
        return refuse(err, id, "is accepted or rejected already");
    char message_id[ENGINE_ID_MAX + sizeof MESSAGE_SUFFIX];
    snprintf(message_id, sizeof message_id, "%s" MESSAGE_SUFFIX, id);
    EVENT(ev, a, WORKFLOW_EXECUTION_UPDATE_ACCEPTED, workflow_execution_update_accepted,
          WorkflowExecutionUpdateAccepted);
    a.protocol_instance_id = (char *)id;
    a.accepted_request_message_id = message_id;
    a.accepted_request_sequencing_event_id = body->accepted_request_sequencing_event_id;
    a.accepted_request = u->request;
    u->accepted_id = event_add(e, run, &ev);
    msg_set(e, &u->request, NULL);
    return 0;
}

static cause_t reject(struct eng *e, struct run *run, const Pb__ProtocolMessage *m, const Pb__UpdateRejection *body,
                      struct err *err)
{
    Pb__EmbeddedUpdate *u = update_find(run, m->protocol_instance_id);
    if (!u)
        return body->rejected_request ? 0 : unknown(err, m->protocol_instance_id);
    if (u->accepted_id || u->rejected)
        return refuse(err, m->protocol_instance_id, "is accepted or rejected already");
    run_dirty(e, run);
    u->rejected = true;
    msg_set(e, &u->failure, body->failure);
    return 0;
}

static cause_t complete(struct eng *e, struct run *run, const Pb__ProtocolMessage *m, const Pb__UpdateResponse *body,
                        struct err *err)
{
    const char *id = m->protocol_instance_id;
    Pb__EmbeddedUpdate *u = update_find(run, id);
    if (!u)
        return unknown(err, id);
    if (!body->meta || strcmp(body->meta->update_id, id) != 0 || !body->outcome)
        return refuse(err, id, "meta.update_id or outcome of its response is not set");
    if (!u->accepted_id || u->completed_id)
        return refuse(err, id, "is not accepted, or completed already");
    EVENT(ev, a, WORKFLOW_EXECUTION_UPDATE_COMPLETED, workflow_execution_update_completed,
          WorkflowExecutionUpdateCompleted);
    a.meta = body->meta;
    a.accepted_event_id = u->accepted_id;
    a.outcome = body->outcome;
    u->completed_id = event_add(e, run, &ev);
    return 0;
}

cause_t update_message(struct eng *e, struct run *run, const Pb__ProtocolMessage *m, struct err *err)
{
    const char *kind = kind_of(m);
    bool open = run_is_open(run);
    cause_t cause = CAUSE(BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE);
    if (m->body && m->body->value.len > ENGINE_PAYLOAD_MAX) {
        err_set(err, ERR_LIMIT, "Message type %.20s exceeds size limit.", kind);
        return cause;
    }
#define BODY(name, Type, lower, handle)                                                                                \
    if (strcmp(kind, name) == 0) {                                                                                     \
        Pb__##Type *body = (Pb__##Type *)body_of(m, &pb__##lower##__descriptor, err);                                  \
        if (body) {                                                                                                    \
            cause = handle(e, run, m, body, err);                                                                      \
            pb__##lower##__free_unpacked(body, NULL);                                                                  \
        }                                                                                                              \
        return cause;                                                                                                  \
    }
    BODY("Rejection", UpdateRejection, update_rejection, reject)
    if (!open)
        return 0; /* no event can follow: who waits is told that the run has closed */
    BODY("Acceptance", UpdateAcceptance, update_acceptance, accept)
    BODY("Response", UpdateResponse, update_response, complete)
#undef BODY
    return refuse(err, m->protocol_instance_id, "unsupported type of message");
}

static const Pb__Failure *server_failure(Pb__Failure *f, Pb__ApplicationFailureInfo *info, const char *type,
                                         const char *message)
{
    *f = (Pb__Failure)PB__FAILURE__INIT;
    *info = (Pb__ApplicationFailureInfo)PB__APPLICATION_FAILURE_INFO__INIT;
    f->message = (char *)message;
    f->source = (char *)"Server";
    f->failure_info_case = PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO;
    f->application_failure_info = info;
    info->type = (char *)type;
    info->non_retryable = true;
    return f;
}

void updates_answered(struct eng *e, struct run *run, bool more_time)
{
    Pb__Failure f;
    Pb__ApplicationFailureInfo info;
    if (more_time || !run_is_open(run))
        return;
    for (size_t i = 0; i < run->s->n_updates; i++) {
        Pb__EmbeddedUpdate *u = run->s->updates[i];
        if (u->accepted_id || u->rejected || !u->sent_stamp)
            continue;
        run_dirty(e, run);
        u->rejected = true;
        msg_set(e, &u->failure,
                server_failure(&f, &info, "UnprocessedUpdate",
                               "Workflow Update is rejected because it wasn't processed by worker. Probably, "
                               "Workflow Update is not supported by the worker."));
    }
}

/* --- who waits -------------------------------------------------------------------------------------- */

void update_leave(struct call *c)
{
    *(c->prev ? &c->prev->next : &c->run->update_waiters) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = c->prev = NULL;
}

void update_wait(struct eng *e, struct run *run, struct call *c)
{
    c->run = run;
    c->prev = NULL;
    c->next = run->update_waiters;
    if (c->next)
        c->next->prev = c;
    run->update_waiters = c;
    call_park(e, c, WAIT_MS);
    run_dirty(e, run); /* so that it is looked at when the batch ends */
}

/* What came of a completed one, from its event; the caller frees it. NULL: *err is set. */
static Pb__UpdateOutcome *recorded_outcome(struct eng *e, struct run *run, const Pb__EmbeddedUpdate *u,
                                           struct err *err)
{
    Pb__HistoryEvent *ev;
    Pb__UpdateOutcome *o = NULL;
    if (history_event(e, run, u->completed_id, &ev, err) < 0)
        return NULL;
    if (ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED) {
        o = ev->workflow_execution_update_completed_event_attributes->outcome;
        ev->workflow_execution_update_completed_event_attributes->outcome = NULL;
    }
    pb__history_event__free_unpacked(ev, NULL);
    if (!o)
        err_set(err, ERR_CORRUPT, "event %lld of run %s is not what its state says", (long long)u->completed_id,
                run->s->run_id);
    return o;
}

static Pb__UpdateOutcome *failed_outcome(struct eng *e, const Pb__Failure *failure)
{
    Pb__UpdateOutcome *o = mem_alloc(sizeof *o);
    if (!o) {
        eng_nomem(e);
        return NULL;
    }
    pb__update_outcome__init(o);
    o->value_case = PB__UPDATE_OUTCOME__VALUE_FAILURE;
    Pb__Failure none = PB__FAILURE__INIT;
    msg_set(e, &o->failure, failure ? failure : &none);
    return o;
}

static Pb__UpdateRef *ref_of(struct eng *e, const struct run *run, const char *update_id)
{
    Pb__UpdateRef *ref = mem_alloc(sizeof *ref);
    Pb__WorkflowExecution *x = mem_alloc(sizeof *x);
    if (!ref || !x) {
        free(ref);
        free(x);
        eng_nomem(e);
        return NULL;
    }
    pb__update_ref__init(ref);
    pb__workflow_execution__init(x);
    ref->workflow_execution = x;
    str_set(e, &ref->update_id, update_id);
    str_set(e, &x->workflow_id, run->s->workflow_id);
    str_set(e, &x->run_id, run->s->run_id);
    return ref;
}

/* Takes over outcome. */
static void answer(struct eng *e, struct run *run, struct call *c, stage_t stage, Pb__UpdateOutcome *outcome)
{
    Pb__UpdateRef *ref = ref_of(e, run, c->update_id);
    if (c->method == ENGINE_POLL_UPDATE) {
        Pb__PollWorkflowExecutionUpdateResponse *r = (void *)call_new_response(c);
        if (r) {
            r->stage = stage;
            r->outcome = outcome;
            r->update_ref = ref;
            call_answer(e, c, &r->base);
            return;
        }
    } else {
        Pb__UpdateWorkflowExecutionResponse *r = mem_alloc(sizeof *r);
        if (r) {
            pb__update_workflow_execution_response__init(r);
            r->stage = stage;
            r->outcome = outcome;
            r->update_ref = ref;
            call_answer(e, c, c->started ? multi_answer(e, c, r) : &r->base);
            return;
        }
    }
    if (ref)
        pb__update_ref__free_unpacked(ref, NULL);
    if (outcome)
        pb__update_outcome__free_unpacked(outcome, NULL);
    call_answer(e, c, NULL);
}

void update_answer_late(struct eng *e, struct call *c)
{
    struct run *run;
    struct err err = {0};
    if (run_get(e, c->run->key, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    const Pb__EmbeddedUpdate *u = update_find(run, c->update_id);
    answer(e, run, c, u ? stage_of(u) : STAGE(ADMITTED), NULL);
}

/* The run has closed, and the update was not accepted. */
static void tell_closed(struct eng *e, struct run *run, struct call *c)
{
    const Pb__UpdateWorkflowExecutionRequest *q = (const void *)c->req;
    call_unpark(e, c);
    if (c->method == ENGINE_UPDATE_WORKFLOW && *run->s->next_run_id && !*q->workflow_execution->run_id)
        call_again(e, c); /* it finds the run that goes on */
    else if (c->started)
        multi_fail(e, c, ERR_NOT_FOUND, "workflow update was aborted by closing workflow");
    else
        call_fail(e, c, ERR_NOT_FOUND, "workflow update was aborted by closing workflow");
}

static void tell(struct eng *e, struct run *run, struct call *c)
{
    static const char closed[] = "Workflow Update failed because the Workflow completed before the Update completed.";
    const Pb__EmbeddedUpdate *u = update_find(run, c->update_id);
    struct err err = {0};
    Pb__UpdateOutcome *outcome = NULL;
    if (!u || (!run_is_open(run) && stage_of(u) == STAGE(ADMITTED))) {
        tell_closed(e, run, c);
        return;
    }
    if (u->rejected) {
        outcome = failed_outcome(e, u->failure);
    } else if (u->completed_id) {
        if (!(outcome = recorded_outcome(e, run, u, &err))) {
            call_unpark(e, c);
            call_fail_err(e, c, &err);
            return;
        }
    } else if (!run_is_open(run)) {
        Pb__Failure f;
        Pb__ApplicationFailureInfo info;
        outcome = failed_outcome(e, server_failure(&f, &info, "AcceptedUpdateCompletedWorkflow", closed));
    } else if (stage_of(u) < c->stage) {
        return;
    }
    call_unpark(e, c);
    answer(e, run, c, outcome ? STAGE(COMPLETED) : stage_of(u), outcome);
}

void updates_settle(struct eng *e, struct run *run)
{
    struct call *next;
    bool open = run_is_open(run);
    for (struct call *c = run->update_waiters; c; c = next) {
        next = c->next;
        tell(e, run, c);
    }
    /* Rejected ones leave nothing, nor do those that a run had not accepted when it closed. */
    for (size_t i = run->s->n_updates; i-- > 0;)
        if (run->s->updates[i]->rejected || (!open && !run->s->updates[i]->accepted_id))
            drop(run, i);
}

void updates_gone(struct eng *e, struct run *run)
{
    while (run->update_waiters) {
        struct call *c = run->update_waiters;
        call_unpark(e, c);
        call_fail(e, c, ERR_NOT_FOUND, "workflow execution not found");
    }
}
