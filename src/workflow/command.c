/* Commands: what a script asked for, in the order in which it asked.
 *
 * Plain C: nothing here knows a lua_State, so nothing raises. While history is replayed only what
 * matching needs is kept; the protobuf message is made for new commands alone. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <stdio.h>
#include <string.h>

#define PB_NEW(type, lower)                                                                                            \
    static Pb__##type *new_##lower(void)                                                                               \
    {                                                                                                                  \
        Pb__##type *m = mem_alloc(sizeof *m);                                                                          \
        if (m)                                                                                                         \
            pb__##lower##__init(m);                                                                                    \
        return m;                                                                                                      \
    }
PB_NEW(Command, command)
PB_NEW(Payload, payload)
PB_NEW(Payloads, payloads)
PB_NEW(Header, header)
PB_NEW(TaskQueue, task_queue)
PB_NEW(ActivityType, activity_type)
PB_NEW(WorkflowType, workflow_type)
PB_NEW(RetryPolicy, retry_policy)
PB_NEW(UserMetadata, user_metadata)
PB_NEW(ScheduleActivityTaskCommandAttributes, schedule_activity_task_command_attributes)
PB_NEW(RequestCancelActivityTaskCommandAttributes, request_cancel_activity_task_command_attributes)
PB_NEW(StartTimerCommandAttributes, start_timer_command_attributes)
PB_NEW(CancelTimerCommandAttributes, cancel_timer_command_attributes)
PB_NEW(StartChildWorkflowExecutionCommandAttributes, start_child_workflow_execution_command_attributes)
PB_NEW(RequestCancelExternalWorkflowExecutionCommandAttributes,
       request_cancel_external_workflow_execution_command_attributes)
PB_NEW(RecordMarkerCommandAttributes, record_marker_command_attributes)
PB_NEW(CompleteWorkflowExecutionCommandAttributes, complete_workflow_execution_command_attributes)
PB_NEW(FailWorkflowExecutionCommandAttributes, fail_workflow_execution_command_attributes)
PB_NEW(CancelWorkflowExecutionCommandAttributes, cancel_workflow_execution_command_attributes)
PB_NEW(ContinueAsNewWorkflowExecutionCommandAttributes, continue_as_new_workflow_execution_command_attributes)

/* Makes a command of a kind with its attributes: a (its pointer) is NULL when memory is out, and so
 * is c. */
#define PB_COMMAND(c, a, TYPE, lower)                                                                                  \
    Pb__Command *c = new_command();                                                                                    \
    if (!c)                                                                                                            \
        return NULL;                                                                                                   \
    c->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_##TYPE;                                                           \
    c->attributes_case = PB__COMMAND__ATTRIBUTES_##TYPE##_COMMAND_ATTRIBUTES;                                          \
    __auto_type a = c->lower = new_##lower();                                                                          \
    if (!a) {                                                                                                          \
        c->attributes_case = PB__COMMAND__ATTRIBUTES__NOT_SET;                                                         \
        pb__command__free_unpacked(c, NULL);                                                                           \
        return NULL;                                                                                                   \
    }

/* Sets a string field; false when memory is out (the field stays valid). */
static bool set_str(char **field, const char *s)
{
    char *p = pbx_str(s);
    if (!p)
        return false;
    *field = p;
    return true;
}

static Pb__Command *finish(Pb__Command *c, bool ok)
{
    if (ok)
        return c;
    pb__command__free_unpacked(c, NULL);
    return NULL;
}

static Pb__Payload *payload_of(const char *text, size_t len)
{
    Pb__Payload *p = new_payload();
    if (!p)
        return NULL;
    p->metadata = mem_calloc(1, sizeof *p->metadata);
    Pb__Payload__MetadataEntry *e = p->metadata ? mem_alloc(sizeof *e) : NULL;
    if (e) {
        pb__payload__metadata_entry__init(e);
        p->metadata[p->n_metadata++] = e;
        e->value.data = mem_dup("json/plain", 10);
        e->value.len = e->value.data ? 10 : 0;
        p->data.data = mem_dup(text, len);
        p->data.len = p->data.data ? len : 0;
        if (set_str(&e->key, "encoding") && e->value.data && p->data.data)
            return p;
    }
    pb__payload__free_unpacked(p, NULL);
    return NULL;
}

Pb__Payloads *command_payloads(const char *text, size_t len)
{
    Pb__Payloads *ps = new_payloads();
    if (!ps)
        return NULL;
    ps->payloads = mem_calloc(1, sizeof *ps->payloads);
    if (ps->payloads && (ps->payloads[0] = payload_of(text, len))) {
        ps->n_payloads = 1;
        return ps;
    }
    pb__payloads__free_unpacked(ps, NULL);
    return NULL;
}

static Pb__TaskQueue *queue_of(const struct workflow *w, const char *vertical)
{
    Pb__TaskQueue *q = new_task_queue();
    char *name = NULL;
    if (!q)
        return NULL;
    q->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    if (!vertical)
        vertical = json_str(w->context, "vertical", NULL);
    name = vertical && *vertical ? mem_printf("%s-queue", vertical) : mem_strdup(w->task_queue);
    if (!name) {
        pb__task_queue__free_unpacked(q, NULL);
        return NULL;
    }
    q->name = name;
    return q;
}

/* The run's header with "ff-context" as this activity has it. */
static Pb__Header *header_with(const struct workflow *w, const struct activity_opts *o)
{
    ProtobufCMessage *copy = NULL;
    if (w->header && pbx_dup(&w->header->base, &copy, NULL) < 0)
        return NULL;
    static const struct activity_opts none;
    Pb__Header *h = copy ? (Pb__Header *)copy : new_header();
    bool given = w->context && w->context == w->default_context; /* then the header does not have it */
    o = o ? o : &none;
    if (!h || !(given || o->has_resources || o->network || o->vertical))
        return h;
    json_t *ctx = w->context ? json_copy(w->context) : json_object();
    json_t *res = o->has_resources ? json_loadb(w->text[1].s, w->text[1].len, 0, NULL) : NULL;
    const json_t *old = json_object_get(ctx, "resources");
    bool ok = ctx && (!o->has_resources || res);
    if (ok && res) {
        json_t *merged = json_is_object(old) ? json_copy((json_t *)old) : json_object();
        ok = merged && json_object_update(merged, res) == 0 && json_object_set(ctx, "resources", merged) == 0;
        json_decref(merged);
    }
    ok = ok && (!o->network || json_object_set_new(ctx, "network", json_string(o->network)) == 0) &&
         (!o->vertical || json_object_set_new(ctx, "vertical", json_string(o->vertical)) == 0);
    Pb__Payload *p = ok ? pbx_json_payload(ctx) : NULL;
    json_decref(res);
    json_decref(ctx);
    for (size_t i = 0; p && i < h->n_fields; i++)
        if (strcmp(h->fields[i]->key, "ff-context") == 0) {
            pb__payload__free_unpacked(h->fields[i]->value, NULL);
            h->fields[i]->value = p;
            return h;
        }
    Pb__Header__FieldsEntry **list = p ? mem_realloc(h->fields, (h->n_fields + 1) * sizeof *list) : NULL;
    Pb__Header__FieldsEntry *e = list ? mem_alloc(sizeof *e) : NULL;
    if (list)
        h->fields = list;
    if (e) {
        pb__header__fields_entry__init(e);
        e->value = p;
        h->fields[h->n_fields++] = e;
        if (set_str(&e->key, "ff-context"))
            return h;
    } else if (p) {
        pb__payload__free_unpacked(p, NULL);
    }
    pb__header__free_unpacked(h, NULL);
    return NULL;
}

/* ---- the queue ---- */

static int push(struct workflow *w, struct command c, const char *name, const char *id)
{
    c.name = name ? mem_strdup(name) : NULL;
    c.id = id ? mem_strdup(id) : NULL;
    if ((name && !c.name) || (id && !c.id) || !VEC_PUSH(&w->commands, c)) {
        free(c.name);
        free(c.id);
        if (c.pb)
            pb__command__free_unpacked(c.pb, NULL);
        w->heap.failed = true;
        return -ERR_NO_MEMORY;
    }
    return 0;
}

static void command_release(struct command *c)
{
    free(c->name);
    free(c->id);
    if (c->pb)
        pb__command__free_unpacked(c->pb, NULL);
    *c = (struct command){0};
}

void command_clear(struct workflow *w)
{
    VEC_EACH(&w->commands, c)
        command_release(c);
    VEC_CLEAR(&w->commands);
    w->commands_first = 0;
}

bool command_take_back(struct workflow *w, const struct future *f)
{
    if (f->event_id)
        return false;
    for (size_t i = w->commands.len; i-- > w->commands_first;)
        if (w->commands.v[i].future == f) {
            command_release(&w->commands.v[i]);
            return true;
        }
    return false;
}

static int nomem(struct workflow *w)
{
    w->heap.failed = true;
    return -ERR_NO_MEMORY;
}

/* ---- activities ---- */

static bool set_retry(Pb__RetryPolicy *r, const struct activity_opts *o)
{
    r->maximum_attempts = o->retry_max;
    r->backoff_coefficient = o->retry_backoff;
    if (!(r->initial_interval = pbx_duration(o->retry_initial_ms * NS_PER_MS)))
        return false;
    if (o->retry_interval_max_ms && !(r->maximum_interval = pbx_duration(o->retry_interval_max_ms * NS_PER_MS)))
        return false;
    if (o->non_retryable_count == 0)
        return true;
    r->non_retryable_error_types = mem_calloc(o->non_retryable_count, sizeof(char *));
    if (!r->non_retryable_error_types)
        return false;
    for (size_t i = 0; i < o->non_retryable_count; i++) {
        if (!(r->non_retryable_error_types[i] = mem_strdup(o->non_retryable[i])))
            return false;
        r->n_non_retryable_error_types++;
    }
    return true;
}

/* What a person sees beside the event in Temporal's tools: the script's own words, or where in it the step is. */
static bool set_summary(Pb__Command *c, const char *text, int line)
{
    char place[32];
    if (!text && line <= 0)
        return true;
    snprintf(place, sizeof place, "workflow.lua:%d", line);
    json_t *j = json_string(text ? text : place);
    bool ok = j && (c->user_metadata = new_user_metadata()) && (c->user_metadata->summary = pbx_json_payload(j));
    json_decref(j);
    return ok;
}

static Pb__Command *build_activity(struct workflow *w, const struct future *f, const struct activity_opts *o, int line)
{
    PB_COMMAND(c, a, SCHEDULE_ACTIVITY_TASK, schedule_activity_task_command_attributes)
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)f->seq);
    return finish(
        c, set_summary(c, o->summary, line) && set_str(&a->activity_id, id) && (a->activity_type = new_activity_type()) &&
               set_str(&a->activity_type->name, f->name) && (a->task_queue = queue_of(w, o->vertical)) &&
               (a->header = header_with(w, o)) && (a->input = command_payloads(w->text[0].s, w->text[0].len)) &&
               (a->start_to_close_timeout = pbx_duration(o->timeout_ms * NS_PER_MS)) &&
               (!o->queue_timeout_ms || (a->schedule_to_start_timeout = pbx_duration(o->queue_timeout_ms * NS_PER_MS))) &&
               (!o->heartbeat_ms || (a->heartbeat_timeout = pbx_duration(o->heartbeat_ms * NS_PER_MS))) &&
               (a->retry_policy = new_retry_policy()) && set_retry(a->retry_policy, o));
}

int command_activity(struct workflow *w, struct future *f, const struct activity_opts *o, int line)
{
    struct command c = {.kind = COMMAND_ACTIVITY, .future = f, .seq = f->seq, .line = line};
    if (!w->replaying && !(c.pb = build_activity(w, f, o, line)))
        return nomem(w);
    return push(w, c, f->name, NULL);
}

/* ---- timers ---- */

static Pb__Command *build_timer(const struct future *f, int64_t ms, int line)
{
    PB_COMMAND(c, a, START_TIMER, start_timer_command_attributes)
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)f->seq);
    return finish(c, set_summary(c, NULL, line) && set_str(&a->timer_id, id) &&
                         (a->start_to_fire_timeout = pbx_duration(ms * NS_PER_MS)));
}

int command_timer(struct workflow *w, struct future *f, int64_t ms, int line)
{
    struct command c = {.kind = COMMAND_TIMER, .future = f, .seq = f->seq, .line = line};
    if (!w->replaying && !(c.pb = build_timer(f, ms, line)))
        return nomem(w);
    return push(w, c, NULL, NULL);
}

/* ---- children ---- */

static Pb__Command *build_child(struct workflow *w, const struct future *f, const struct child_opts *o, int line)
{
    PB_COMMAND(c, a, START_CHILD_WORKFLOW_EXECUTION, start_child_workflow_execution_command_attributes)
    a->parent_close_policy = o->parent_close_policy;
    a->workflow_id_reuse_policy = PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    const struct activity_opts context = {.vertical = o->vertical};
    return finish(c, set_summary(c, NULL, line) && set_str(&a->workflow_id, f->id) && (a->workflow_type = new_workflow_type()) &&
                         set_str(&a->workflow_type->name, f->name) && (a->task_queue = queue_of(w, o->vertical)) &&
                         (a->header = header_with(w, &context)) &&
                         (a->input = command_payloads(w->text[0].s, w->text[0].len)) &&
                         (!o->timeout_ms || (a->workflow_run_timeout = pbx_duration(o->timeout_ms * NS_PER_MS))) &&
                         (!o->task_timeout_ms ||
                          (a->workflow_task_timeout = pbx_duration(o->task_timeout_ms * NS_PER_MS))));
}

int command_child(struct workflow *w, struct future *f, const struct child_opts *o, int line)
{
    struct command c = {.kind = COMMAND_CHILD, .future = f, .seq = f->seq, .line = line};
    if (!w->replaying && !(c.pb = build_child(w, f, o, line)))
        return nomem(w);
    return push(w, c, f->name, f->id);
}

/* ---- cancelling ---- */

static Pb__Command *build_cancel_activity(const struct future *f)
{
    PB_COMMAND(c, a, REQUEST_CANCEL_ACTIVITY_TASK, request_cancel_activity_task_command_attributes)
    a->scheduled_event_id = f->event_id;
    return c;
}

static Pb__Command *build_cancel_timer(const struct future *f)
{
    PB_COMMAND(c, a, CANCEL_TIMER, cancel_timer_command_attributes)
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)f->seq);
    return finish(c, set_str(&a->timer_id, id));
}

static Pb__Command *build_cancel_child(const struct workflow *w, const struct future *f)
{
    PB_COMMAND(c, a, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
               request_cancel_external_workflow_execution_command_attributes)
    a->child_workflow_only = true;
    return finish(c, set_str(&a->workflow_id, f->id) && set_str(&a->run_id, f->run_id) &&
                         set_str(&a->reason, w->cancel_cause && *w->cancel_cause ? w->cancel_cause : "cancelled by its parent"));
}

int command_cancel(struct workflow *w, struct future *f, int line)
{
    static const enum command_kind kinds[] = {[FUTURE_ACTIVITY] = COMMAND_CANCEL_ACTIVITY,
                                              [FUTURE_TIMER] = COMMAND_CANCEL_TIMER,
                                              [FUTURE_CHILD] = COMMAND_CANCEL_CHILD};
    struct command c = {.kind = kinds[f->kind], .seq = f->seq, .event_id = f->event_id, .line = line};
    if (!w->replaying) {
        c.pb = f->kind == FUTURE_ACTIVITY ? build_cancel_activity(f)
               : f->kind == FUTURE_TIMER  ? build_cancel_timer(f)
                                          : build_cancel_child(w, f);
        if (!c.pb)
            return nomem(w);
    }
    return push(w, c, f->name, f->id);
}

/* ---- markers ---- */

/* As Temporal's own SDKs write it, so that its tools know the marker for what it is. */
static Pb__Command *build_marker(const char *patch)
{
    PB_COMMAND(c, a, RECORD_MARKER, record_marker_command_attributes)
    json_t *j = json_pack("{s:s,s:b}", "id", patch, "deprecated", 0);
    Pb__RecordMarkerCommandAttributes__DetailsEntry *e = mem_alloc(sizeof *e);
    a->details = mem_calloc(1, sizeof *a->details);
    bool ok = j && e && a->details;
    if (ok) {
        pb__record_marker_command_attributes__details_entry__init(e);
        a->details[a->n_details++] = e;
        ok = set_str(&a->marker_name, "core_patch") && set_str(&e->key, "patch-data") &&
             (e->value = pbx_json_payloads(j));
    } else {
        free(e);
    }
    json_decref(j);
    return finish(c, ok);
}

int command_marker(struct workflow *w, const char *patch, int line)
{
    struct command c = {.kind = COMMAND_MARKER, .line = line};
    if (!w->replaying && !(c.pb = build_marker(patch)))
        return nomem(w);
    return push(w, c, patch, NULL);
}

/* ---- the end of the run ---- */

static Pb__Command *build_complete(struct workflow *w)
{
    PB_COMMAND(c, a, COMPLETE_WORKFLOW_EXECUTION, complete_workflow_execution_command_attributes)
    return finish(c, (a->result = command_payloads(w->text[0].s, w->text[0].len)));
}

static Pb__Command *build_fail(struct workflow *w)
{
    PB_COMMAND(c, a, FAIL_WORKFLOW_EXECUTION, fail_workflow_execution_command_attributes)
    ProtobufCMessage *copy = NULL;
    bool ok = w->failure && pbx_dup(&w->failure->base, &copy, NULL) == 0;
    a->failure = (Pb__Failure *)copy;
    return finish(c, ok);
}

static Pb__Command *build_cancelled(struct workflow *w)
{
    PB_COMMAND(c, a, CANCEL_WORKFLOW_EXECUTION, cancel_workflow_execution_command_attributes)
    (void)a;
    return c;
}

static Pb__Command *build_continue(struct workflow *w)
{
    PB_COMMAND(c, a, CONTINUE_AS_NEW_WORKFLOW_EXECUTION, continue_as_new_workflow_execution_command_attributes)
    ProtobufCMessage *memo = NULL;
    a->initiator = PB__CONTINUE_AS_NEW_INITIATOR__CONTINUE_AS_NEW_INITIATOR_WORKFLOW;
    bool ok = (a->workflow_type = new_workflow_type()) && set_str(&a->workflow_type->name, w->type) &&
              (a->task_queue = new_task_queue()) && set_str(&a->task_queue->name, w->task_queue) &&
              (a->input = command_payloads(w->text[0].s, w->text[0].len)) && (a->header = header_with(w, NULL)) &&
              (!w->run_timeout_ns || (a->workflow_run_timeout = pbx_duration(w->run_timeout_ns))) &&
              (!w->task_timeout_ns || (a->workflow_task_timeout = pbx_duration(w->task_timeout_ns))) &&
              (!w->memo || pbx_dup(&w->memo->base, &memo, NULL) == 0);
    if (ok)
        a->task_queue->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    a->memo = (Pb__Memo *)memo;
    return finish(c, ok);
}

int command_close(struct workflow *w, enum command_kind kind, int line)
{
    struct command c = {.kind = kind, .line = line};
    if (!w->replaying) {
        c.pb = kind == COMMAND_COMPLETE ? build_complete(w)
               : kind == COMMAND_FAIL   ? build_fail(w)
               : kind == COMMAND_CANCEL ? build_cancelled(w)
                                        : build_continue(w);
        if (!c.pb)
            return nomem(w);
    }
    return push(w, c, NULL, NULL);
}

const char *command_describe(const struct command *c, char *buf, size_t size)
{
    const char *name = c->name ? c->name : "";
    unsigned long long seq = c->seq;
    switch (c->kind) {
    case COMMAND_ACTIVITY:
        snprintf(buf, size, "activity %llu '%.200s'", seq, name);
        break;
    case COMMAND_CANCEL_ACTIVITY:
        snprintf(buf, size, "cancellation of activity %llu '%.200s'", seq, name);
        break;
    case COMMAND_TIMER:
        snprintf(buf, size, "timer %llu", seq);
        break;
    case COMMAND_CANCEL_TIMER:
        snprintf(buf, size, "cancellation of timer %llu", seq);
        break;
    case COMMAND_CHILD:
        snprintf(buf, size, "child workflow '%.200s' (id %.200s)", name, c->id);
        break;
    case COMMAND_CANCEL_CHILD:
        snprintf(buf, size, "cancellation of child workflow '%.200s'", name);
        break;
    case COMMAND_MARKER:
        snprintf(buf, size, "patch '%.200s'", name);
        break;
    case COMMAND_COMPLETE:
        snprintf(buf, size, "the end of the run");
        break;
    case COMMAND_FAIL:
        snprintf(buf, size, "the failure of the run");
        break;
    case COMMAND_CANCEL:
        snprintf(buf, size, "the end of the run as cancelled");
        break;
    case COMMAND_CONTINUE:
        snprintf(buf, size, "continue-as-new");
        break;
    default:
        snprintf(buf, size, "nothing");
    }
    return buf;
}
