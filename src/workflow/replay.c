/* History in: events end futures and start fibers; commands of the replayed part are matched with
 * the events they made.
 *
 * History is a row of workflow tasks. All events up to a WorkflowTaskStarted whose task was
 * completed (or is the one at hand) are applied, then the fibers run, at that event's time. Then
 * come WorkflowTaskCompleted and one event for each command, in order; a task that failed or timed
 * out left no trace in the script and is passed over. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef const Pb__HistoryEvent *event;

/* "ActivityTaskScheduled" */
static const char *type_name(event e, char buf[64])
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&pb__event_type__descriptor, (int)e->event_type);
    if (!v || strncmp(v->name, "EVENT_TYPE_", 11) != 0)
        return "unknown event";
    size_t n = 0;
    bool upper = true;
    for (const char *p = v->name + 11; *p && n < 63; p++) {
        if (*p == '_') {
            upper = true;
            continue;
        }
        buf[n++] = (char)(upper ? *p : tolower((unsigned char)*p));
        upper = false;
    }
    buf[n] = 0;
    return buf;
}

__attribute__((format(printf, 2, 3))) static void off_path(struct workflow *w, const char *fmt, ...)
{
    if (w->nondeterminism)
        return;
    char text[1600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    w->nondeterminism = mem_strdup(text);
    if (!w->nondeterminism)
        w->failed = -ERR_NO_MEMORY;
}

static void broken(struct workflow *w, event e, const char *why)
{
    char name[64];
    if (w->failed == 0)
        w->failed = err_set(&w->err, ERR_CORRUPT, "history event %lld (%s) %s", (long long)e->event_id,
                            type_name(e, name), why);
}

/* ---- what a command event is about ---- */

/* The kind of command that makes an event of this type, and what identifies it. */
static enum command_kind command_of(event e, const char **ret_name, const char **ret_id)
{
    *ret_name = *ret_id = NULL;
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
        *ret_id = e->activity_task_scheduled_event_attributes->activity_id;
        if (e->activity_task_scheduled_event_attributes->activity_type)
            *ret_name = e->activity_task_scheduled_event_attributes->activity_type->name;
        return COMMAND_ACTIVITY;
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
        return COMMAND_CANCEL_ACTIVITY;
    case PB__EVENT_TYPE__EVENT_TYPE_TIMER_STARTED:
        *ret_id = e->timer_started_event_attributes->timer_id;
        return COMMAND_TIMER;
    case PB__EVENT_TYPE__EVENT_TYPE_TIMER_CANCELED:
        *ret_id = e->timer_canceled_event_attributes->timer_id;
        return COMMAND_CANCEL_TIMER;
    case PB__EVENT_TYPE__EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
        *ret_id = e->start_child_workflow_execution_initiated_event_attributes->workflow_id;
        if (e->start_child_workflow_execution_initiated_event_attributes->workflow_type)
            *ret_name = e->start_child_workflow_execution_initiated_event_attributes->workflow_type->name;
        return COMMAND_CHILD;
    case PB__EVENT_TYPE__EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
        if (e->request_cancel_external_workflow_execution_initiated_event_attributes->workflow_execution)
            *ret_id = e->request_cancel_external_workflow_execution_initiated_event_attributes->workflow_execution
                          ->workflow_id;
        return COMMAND_CANCEL_CHILD;
    case PB__EVENT_TYPE__EVENT_TYPE_MARKER_RECORDED:
        return COMMAND_MARKER;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        return COMMAND_COMPLETE;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return COMMAND_FAIL;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
        return COMMAND_CANCEL;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
        return COMMAND_CONTINUE;
    default:
        return COMMAND_NONE;
    }
}

static void describe_event(event e, char *buf, size_t size)
{
    char type[64];
    const char *name, *id;
    command_of(e, &name, &id);
    snprintf(buf, size, "history event %lld is %s%s%.200s%s%s%.100s", (long long)e->event_id, type_name(e, type),
             name ? " '" : "", name ? name : "", name ? "'" : "", id ? " with id " : "", id ? id : "");
}

/* Is the text this number, as it is written in commands? */
static bool same_seq(const char *text, uint64_t seq)
{
    uint64_t v = 0;
    if (*text < '1' || *text > '9' || strlen(text) > 19)
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        v = v * 10 + (uint64_t)(*text - '0');
    return !*text && v == seq;
}

static bool same(const struct command *c, event e)
{
    const char *name, *id;
    if (command_of(e, &name, &id) != c->kind)
        return false;
    switch (c->kind) {
    case COMMAND_ACTIVITY:
        return name && strcmp(name, c->name) == 0 && same_seq(id, c->seq);
    case COMMAND_TIMER:
    case COMMAND_CANCEL_TIMER:
        return same_seq(id, c->seq);
    case COMMAND_CANCEL_ACTIVITY:
        return e->activity_task_cancel_requested_event_attributes->scheduled_event_id == c->event_id;
    case COMMAND_CHILD:
        return name && strcmp(name, c->name) == 0 && strcmp(id, c->id) == 0;
    case COMMAND_CANCEL_CHILD:
        return id && strcmp(id, c->id) == 0;
    case COMMAND_MARKER:
        return true; /* of another patch: see marker_id() */
    default:
        return true;
    }
}

/* The id of a patch marker; a new reference, or NULL if it is none. */
static json_t *marker_id(event e)
{
    const Pb__MarkerRecordedEventAttributes *m = e->marker_recorded_event_attributes;
    if (strcmp(m->marker_name, "core_patch") != 0)
        return NULL;
    for (size_t i = 0; i < m->n_details; i++) {
        json_t *j = NULL;
        if (strcmp(m->details[i]->key, "patch-data") != 0 || pbx_payloads_json(m->details[i]->value, 0, &j, NULL) < 0)
            continue;
        json_t *id = json_incref(json_object_get(j, "id"));
        json_decref(j);
        if (json_is_string(id))
            return id;
        json_decref(id);
    }
    return NULL;
}

static bool same_marker(const struct command *c, event e)
{
    json_t *id = marker_id(e);
    bool r = id && strcmp(json_string_value(id), c->name) == 0;
    json_decref(id);
    return r;
}

/* The next command that is not taken back; NULL: none. */
static struct command *next_command(struct workflow *w)
{
    while (w->commands_first < w->commands.len && w->commands.v[w->commands_first].kind == COMMAND_NONE)
        w->commands_first++;
    return w->commands_first < w->commands.len ? &w->commands.v[w->commands_first] : NULL;
}

/* Where the script stands, for messages. */
static int waiting_line(const struct workflow *w)
{
    return w->main_fiber ? sandbox_where(w->main_fiber->co) : 0;
}

/* "the script at workflow.lua:3 asks for activity 1 'x'" */
static const char *wish(const struct workflow *w, const struct command *c, char *buf, size_t size)
{
    char what[600], at[260] = "";
    if (c->line > 0)
        snprintf(at, sizeof at, " at %s:%d", w->chunk_name, c->line);
    if (c->kind == COMMAND_FAIL && w->failure)
        snprintf(buf, size, "the script fails there: %.400s", w->failure->message);
    else
        snprintf(buf, size, "the script%s asks for %s", at, command_describe(c, what, sizeof what));
    return buf;
}

static void match_command(struct workflow *w, event e)
{
    char what[600], text[900];
    struct command *c = next_command(w);
    describe_event(e, what, sizeof what);
    if (!c) {
        if (e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
            return; /* a server may end a run of its own accord */
        int line = waiting_line(w);
        if (w->closing != CLOSING_NOT)
            off_path(w, "%s, but the script has ended there", what);
        else
            off_path(w, "%s, but the script asks for nothing there: it waits at %s:%d", what, w->chunk_name, line);
        return;
    }
    if (!same(c, e) || (c->kind == COMMAND_MARKER && !same_marker(c, e))) {
        off_path(w, "%s, but %s", what, wish(w, c, text, sizeof text));
        return;
    }
    if (c->future && c->future->state == FUTURE_PENDING) {
        c->future->event_id = e->event_id;
        if (!event_map_set(&w->by_event, e->event_id, c->future))
            w->failed = err_nomem(&w->err);
    }
    free(c->name);
    free(c->id);
    *c = (struct command){0};
    if (++w->commands_first == w->commands.len)
        command_clear(w);
}

/* ---- events that tell the script something ---- */

/* Pushes the value of payload 0; false: an error table is pushed instead. */
static bool push_payload(lua_State *L, const Pb__Payloads *p)
{
    if (value_read_payload(L, p))
        return true;
    failure_push(L, "BadPayload", lua_tostring(L, -1), false);
    lua_remove(L, -2);
    return false;
}

/* The field of the table on top, pushed; its string, or NULL. */
static const char *field_of(lua_State *L, const char *key)
{
    lua_pushstring(L, key);
    lua_rawget(L, -2);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

static void activity_completed(struct workflow *w, lua_State *L, struct future *f, const Pb__Payloads *result)
{
    bool ok = push_payload(L, result);
    if (!ok || lua_type(L, -1) != LUA_TTABLE) {
        future_resolve(w, L, f, ok);
        return;
    }
    const char *status = field_of(L, "status");
    w->incomplete |= status && strcmp(status, "partial") == 0;
    bool failed = status && strcmp(status, "failed") == 0;
    lua_pop(L, 1);
    if (failed) {
        const char *why = field_of(L, "error");
        failure_push(L, "ActivityFailed", why ? why : "the module reports failure", false);
        lua_remove(L, -2);
        lua_pushstring(L, f->name);
        lua_setfield(L, -2, "activity");
        lua_insert(L, -2);
        lua_setfield(L, -2, "details");
    }
    future_resolve(w, L, f, !failed);
}

/* The error table on top of L is what f ended with; e stands behind it. */
static void end_badly(struct workflow *w, lua_State *L, struct future *f, Pb__Failure *e, const char *verb)
{
    lua_pushfstring(L, "%s '%s' %s", f->kind == FUTURE_CHILD ? "child workflow" : "activity", f->name, verb);
    e->message = (char *)lua_tostring(L, -1);
    e->source = (char *)"FuzzForge";
    lua_insert(L, -2);
    failure_keep(L, e);
    lua_remove(L, -2);
    future_resolve(w, L, f, false);
}

static void push_plain(lua_State *L, const struct future *f, const char *type, const char *message)
{
    failure_push(L, type, message, false);
    lua_pushstring(L, f->name);
    lua_setfield(L, -2, f->kind == FUTURE_CHILD ? "child" : "activity");
}

static void fail_activity(struct workflow *w, lua_State *L, struct future *f, Pb__ActivityFailureInfo *info, Pb__Failure *cause,
                          const char *verb)
{
    Pb__Failure e = PB__FAILURE__INIT;
    Pb__ActivityType type = PB__ACTIVITY_TYPE__INIT;
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)f->seq);
    type.name = f->name;
    info->activity_id = id;
    info->activity_type = &type;
    e.cause = cause;
    e.failure_info_case = PB__FAILURE__FAILURE_INFO_ACTIVITY_FAILURE_INFO;
    e.activity_failure_info = info;
    end_badly(w, L, f, &e, verb);
}

static void fail_child(struct workflow *w, lua_State *L, struct future *f, Pb__ChildWorkflowExecutionFailureInfo *info,
                       Pb__Failure *cause, const char *verb)
{
    Pb__Failure e = PB__FAILURE__INIT;
    e.cause = cause;
    e.failure_info_case = PB__FAILURE__FAILURE_INFO_CHILD_WORKFLOW_EXECUTION_FAILURE_INFO;
    e.child_workflow_execution_failure_info = info;
    end_badly(w, L, f, &e, verb);
}

static Pb__ActivityFailureInfo activity_info(int64_t scheduled_id, int64_t started_id, const char *identity, Pb__RetryState state)
{
    Pb__ActivityFailureInfo info = PB__ACTIVITY_FAILURE_INFO__INIT;
    info.scheduled_event_id = scheduled_id;
    info.started_event_id = started_id;
    info.identity = (char *)identity;
    info.retry_state = state;
    return info;
}

static void on_activity_event(struct workflow *w, lua_State *L, event e)
{
    struct future *f;
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_COMPLETED: {
        const Pb__ActivityTaskCompletedEventAttributes *a = e->activity_task_completed_event_attributes;
        if ((f = event_map_take(&w->by_event, a->scheduled_event_id)))
            activity_completed(w, L, f, a->result);
        return;
    }
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_FAILED: {
        const Pb__ActivityTaskFailedEventAttributes *a = e->activity_task_failed_event_attributes;
        if (!(f = event_map_take(&w->by_event, a->scheduled_event_id)))
            return;
        Pb__ActivityFailureInfo info = activity_info(a->scheduled_event_id, a->started_event_id, a->identity, a->retry_state);
        failure_push_pb(L, a->failure, "activity", f->name, "failed");
        fail_activity(w, L, f, &info, a->failure, "failed");
        return;
    }
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: {
        const Pb__ActivityTaskTimedOutEventAttributes *a = e->activity_task_timed_out_event_attributes;
        if (!(f = event_map_take(&w->by_event, a->scheduled_event_id)))
            return;
        Pb__ActivityFailureInfo info = activity_info(a->scheduled_event_id, a->started_event_id, "", a->retry_state);
        if (a->failure)
            failure_push_pb(L, a->failure, "activity", f->name, "timed out");
        else
            push_plain(L, f, "Timeout", "timed out");
        fail_activity(w, L, f, &info, a->failure, "timed out");
        return;
    }
    default: {
        const Pb__ActivityTaskCanceledEventAttributes *a = e->activity_task_canceled_event_attributes;
        if (!(f = event_map_take(&w->by_event, a->scheduled_event_id)))
            return;
        Pb__ActivityFailureInfo info = activity_info(a->scheduled_event_id, a->started_event_id, a->identity,
                                                     PB__RETRY_STATE__RETRY_STATE_CANCEL_REQUESTED);
        Pb__Failure cause = PB__FAILURE__INIT;
        Pb__CanceledFailureInfo cancelled = PB__CANCELED_FAILURE_INFO__INIT;
        cancelled.details = a->details;
        cause.message = (char *)"cancelled";
        cause.failure_info_case = PB__FAILURE__FAILURE_INFO_CANCELED_FAILURE_INFO;
        cause.canceled_failure_info = &cancelled;
        push_plain(L, f, "Cancelled", "cancelled");
        fail_activity(w, L, f, &info, &cause, "was cancelled");
    }
    }
}

/* The ends of a child that have no failure of their own in the event. */
static void child_ended(struct workflow *w, lua_State *L, struct future *f, Pb__ChildWorkflowExecutionFailureInfo *info, event e)
{
    Pb__Failure cause = PB__FAILURE__INIT;
    Pb__CanceledFailureInfo cancelled = PB__CANCELED_FAILURE_INFO__INIT;
    Pb__TimeoutFailureInfo timeout = PB__TIMEOUT_FAILURE_INFO__INIT;
    Pb__TerminatedFailureInfo terminated = PB__TERMINATED_FAILURE_INFO__INIT;
    const char *type, *verb;
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
        cancelled.details = e->child_workflow_execution_canceled_event_attributes->details;
        cause.failure_info_case = PB__FAILURE__FAILURE_INFO_CANCELED_FAILURE_INFO;
        cause.canceled_failure_info = &cancelled;
        type = "Cancelled", cause.message = (char *)"cancelled", verb = "was cancelled";
        break;
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
        timeout.timeout_type = PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE;
        cause.failure_info_case = PB__FAILURE__FAILURE_INFO_TIMEOUT_FAILURE_INFO;
        cause.timeout_failure_info = &timeout;
        type = "Timeout", cause.message = (char *)"timed out", verb = "failed";
        break;
    default:
        cause.failure_info_case = PB__FAILURE__FAILURE_INFO_TERMINATED_FAILURE_INFO;
        cause.terminated_failure_info = &terminated;
        type = "Terminated", cause.message = (char *)"terminated", verb = "failed";
    }
    push_plain(L, f, type, cause.message);
    fail_child(w, L, f, info, &cause, verb);
}

#define CHILD_INFO(attributes, state)                                                                                    \
    {PROTOBUF_C_MESSAGE_INIT(&pb__child_workflow_execution_failure_info__descriptor), (attributes)->namespace_,          \
     (attributes)->workflow_execution, (attributes)->workflow_type, (attributes)->initiated_event_id,                    \
     (attributes)->started_event_id, state}

static void on_child_end(struct workflow *w, lua_State *L, event e)
{
    struct future *f;
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: {
        const Pb__ChildWorkflowExecutionFailedEventAttributes *a = e->child_workflow_execution_failed_event_attributes;
        Pb__ChildWorkflowExecutionFailureInfo info = CHILD_INFO(a, a->retry_state);
        if (!(f = event_map_take(&w->by_event, a->initiated_event_id)))
            return;
        failure_push_pb(L, a->failure, "child", f->name, "failed");
        fail_child(w, L, f, &info, a->failure, "failed");
        return;
    }
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: {
        const Pb__ChildWorkflowExecutionCanceledEventAttributes *a = e->child_workflow_execution_canceled_event_attributes;
        Pb__ChildWorkflowExecutionFailureInfo info = CHILD_INFO(a, PB__RETRY_STATE__RETRY_STATE_CANCEL_REQUESTED);
        if ((f = event_map_take(&w->by_event, a->initiated_event_id)))
            child_ended(w, L, f, &info, e);
        return;
    }
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: {
        const Pb__ChildWorkflowExecutionTimedOutEventAttributes *a = e->child_workflow_execution_timed_out_event_attributes;
        Pb__ChildWorkflowExecutionFailureInfo info = CHILD_INFO(a, a->retry_state);
        if ((f = event_map_take(&w->by_event, a->initiated_event_id)))
            child_ended(w, L, f, &info, e);
        return;
    }
    default: {
        const Pb__ChildWorkflowExecutionTerminatedEventAttributes *a = e->child_workflow_execution_terminated_event_attributes;
        Pb__ChildWorkflowExecutionFailureInfo info = CHILD_INFO(a, PB__RETRY_STATE__RETRY_STATE_NON_RETRYABLE_FAILURE);
        if ((f = event_map_take(&w->by_event, a->initiated_event_id)))
            child_ended(w, L, f, &info, e);
    }
    }
}

static void on_child_event(struct workflow *w, lua_State *L, event e)
{
    struct future *f;
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: {
        const Pb__ChildWorkflowExecutionStartedEventAttributes *a = e->child_workflow_execution_started_event_attributes;
        if ((f = event_map_get(&w->by_event, a->initiated_event_id)) && a->workflow_execution) {
            f->started = true;
            snprintf(f->run_id, sizeof f->run_id, "%s", a->workflow_execution->run_id);
        }
        return;
    }
    case PB__EVENT_TYPE__EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
        f = event_map_take(&w->by_event, e->start_child_workflow_execution_failed_event_attributes->initiated_event_id);
        if (!f)
            return;
        push_plain(L, f, "ChildNotStarted", "a run with its id exists already");
        future_resolve(w, L, f, false);
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: {
        const Pb__ChildWorkflowExecutionCompletedEventAttributes *a =
            e->child_workflow_execution_completed_event_attributes;
        if (!(f = event_map_take(&w->by_event, a->initiated_event_id)))
            return;
        bool ok = push_payload(L, a->result);
        if (ok && lua_type(L, -1) == LUA_TTABLE) {
            field_of(L, "incomplete");
            w->incomplete |= lua_toboolean(L, -1); /* what a part of the run left out, the run left out */
            lua_pop(L, 1);
        }
        future_resolve(w, L, f, ok);
        return;
    }
    default:
        on_child_end(w, L, e);
    }
}

static int main_done(lua_State *L, int status, lua_KContext ctx)
{
    struct workflow *w = workflow_of(L);
    if (lua_isnil(L, -1))
        lua_newtable(L);
    if (lua_type(L, -1) != LUA_TTABLE)
        return luaL_error(L, "the workflow must return a table, not a %s", luaL_typename(L, -1));
    if (w->incomplete) {
        lua_pushliteral(L, "incomplete");
        if (lua_rawget(L, -2) == LUA_TNIL) {
            lua_pushliteral(L, "incomplete");
            lua_pushboolean(L, 1);
            lua_rawset(L, -4);
        }
        lua_pop(L, 1);
    }
    value_write(L, -1, &w->text[0], "result", PAYLOAD_BYTES_MAX);
    if (w->text[0].s[0] != '{')
        return luaL_error(L, "the workflow must return a table with names (summary, findings, ...), not an array");
    w->closing = CLOSING_COMPLETE;
    return 0;
}

static int main_loaded(lua_State *L, int status, lua_KContext ctx)
{
    if (lua_type(L, -1) != LUA_TFUNCTION)
        return luaL_error(L, "workflow.lua must return a function, not a %s", luaL_typename(L, -1));
    value_push(L, workflow_of(L)->start_input);
    lua_callk(L, 1, 1, 0, main_done);
    return main_done(L, LUA_OK, 0);
}

static int main_body(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &main_key);
    lua_callk(L, 0, 1, 0, main_loaded);
    return main_loaded(L, LUA_OK, 0);
}

json_t *workflow_foreign_parameters(json_t *input)
{
    bool ours = json_object_get(input, "target") || json_object_get(input, "parameters") || json_object_get(input, "run");
    json_t *p = ours ? json_object_get(input, "parameters") : input;
    return json_is_null(p) || (json_is_object(p) && !json_object_size(p)) ? NULL : p;
}

/* Sets what is missing. */
static int fill(json_t *object, const json_t *defaults)
{
    const char *key;
    json_t *v;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)defaults, key, v) {
        json_t *have = json_object_get(object, key);
        if (!have)
            r = json_object_set_new(object, key, json_deep_copy(v));
        else if (json_is_object(have) && json_is_object(v))
            r = fill(have, v);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The input of a run that another client started becomes {parameters = ..., run = ...}. */
static int complete_input(struct workflow *w)
{
    json_t *given = json_incref(workflow_foreign_parameters(w->start_input));
    if (given && !json_is_object(given)) { /* a script of its own kind */
        json_decref(given);
        return 0;
    }
    if (!given)
        given = json_object();
    if (!json_is_object(w->start_input) || given == w->start_input) {
        json_decref(w->start_input);
        w->start_input = json_object();
    }
    if (fill(given, w->default_parameters) < 0 || json_object_set_new(w->start_input, "parameters", given) < 0)
        return -1;
    if (json_object_get(w->start_input, "run"))
        return 0;
    return json_object_set_new(w->start_input, "run", json_pack("{s:s, s:s}", "id", w->workflow_id, "workflow", w->type));
}

/* When the engine will close the run, whatever it does. 0: never. */
static int64_t deadline_of(event e, const Pb__WorkflowExecutionStartedEventAttributes *a)
{
    int64_t run = pbx_duration_ns(a->workflow_run_timeout), all = pbx_timestamp_ns(a->workflow_execution_expiration_time);
    int64_t end = pbx_timestamp_ns(e->event_time);
    if (run <= 0 || __builtin_add_overflow(end, pbx_duration_ns(a->first_workflow_task_backoff), &end) ||
        __builtin_add_overflow(end, run, &end))
        end = 0;
    return all > 0 && (!end || all < end) ? all : end;
}

static void on_started(struct workflow *w, lua_State *L, event e)
{
    const Pb__WorkflowExecutionStartedEventAttributes *a = e->workflow_execution_started_event_attributes;
    ProtobufCMessage *header = NULL, *memo = NULL;
    if (w->started) {
        broken(w, e, "is there twice");
        return;
    }
    w->started = true;
    w->attempt = a->attempt;
    w->run_timeout_ns = pbx_duration_ns(a->workflow_run_timeout);
    w->closes_ns = deadline_of(e, a);
    w->task_timeout_ns = pbx_duration_ns(a->workflow_task_timeout);
    const char *seed = *a->original_execution_run_id ? a->original_execution_run_id : w->run_id;
    rng_seed(w->rng, seed, strlen(seed));
    w->type = mem_strdup(a->workflow_type ? a->workflow_type->name : "");
    w->task_queue = mem_strdup(a->task_queue ? a->task_queue->name : "");
    bool ok = w->type && w->task_queue && (!a->header || pbx_dup(&a->header->base, &header, NULL) == 0) &&
              (!a->memo || pbx_dup(&a->memo->base, &memo, NULL) == 0);
    w->header = (Pb__Header *)header;
    w->memo = (Pb__Memo *)memo;
    if (!ok) {
        w->failed = err_nomem(&w->err);
        return;
    }
    for (size_t i = 0; w->header && i < w->header->n_fields; i++)
        if (strcmp(w->header->fields[i]->key, "ff-context") == 0 &&
            pbx_payload_json(w->header->fields[i]->value, &w->context, &w->err) < 0) {
            w->failed = err_wrap(&w->err, "header 'ff-context'");
            return;
        }
    if (!w->context)
        w->context = json_incref(w->default_context);
    if (pbx_payloads_json(a->input, 0, &w->start_input, &w->err) < 0) {
        w->failed = err_wrap(&w->err, "input of the workflow");
        return;
    }
    if (w->default_parameters && complete_input(w) < 0) {
        w->failed = err_nomem(&w->err);
        return;
    }
    lua_pushcfunction(L, main_body);
    fiber_spawn(w, L, 0, true);
}

static void on_signaled(struct workflow *w, lua_State *L, event e)
{
    const Pb__WorkflowExecutionSignaledEventAttributes *a = e->workflow_execution_signaled_event_attributes;
    push_payload(L, a->input);
    fiber_signal(w, L, a->signal_name);
}

#define EVENT_TYPES 64
static unsigned attributes_of_type[EVENT_TYPES]; /* the oneof case that belongs to a type; 0: none */
static pthread_once_t attributes_once = PTHREAD_ONCE_INIT;

/* The members' names follow the types' names; their numbers follow no rule. */
static void find_attributes(void)
{
    const ProtobufCMessageDescriptor *d = &pb__history_event__descriptor;
    for (int type = 1; type < EVENT_TYPES; type++) {
        const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&pb__event_type__descriptor, type);
        char name[120];
        if (!v)
            continue;
        snprintf(name, sizeof name, "%s_event_attributes", v->name + strlen("EVENT_TYPE_"));
        for (char *p = name; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(d, name);
        if (f)
            attributes_of_type[type] = f->id;
    }
}

/* Has the event the attributes of its type, so that the handlers may look at them? */
static bool has_attributes(event e)
{
    return e->event_type > 0 && e->event_type < EVENT_TYPES && e->attributes_case &&
           attributes_of_type[e->event_type] == (unsigned)e->attributes_case;
}

static void apply(struct workflow *w, lua_State *L, event e)
{
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        on_started(w, L, e);
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_FAILED:
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
    case PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_CANCELED:
        on_activity_event(w, L, e);
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_TIMER_FIRED: {
        struct future *f = event_map_take(&w->by_event, e->timer_fired_event_attributes->started_event_id);
        if (f) {
            lua_pushboolean(L, 1);
            future_resolve(w, L, f, true);
        }
        return;
    }
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        on_signaled(w, L, e);
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        if (w->cancel_cause)
            return;
        w->cancel_cause = mem_strdup(e->workflow_execution_cancel_requested_event_attributes->cause);
        if (!w->cancel_cause)
            w->failed = err_nomem(&w->err);
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
    case PB__EVENT_TYPE__EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
    case PB__EVENT_TYPE__EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
        on_child_event(w, L, e);
        return;
    default:
        return; /* nothing that a script can see */
    }
}

/* ---- a workflow task ---- */

/* Adds the command that ends the run. A limit ends it at once: what the task asked for before is
 * dropped. */
static void close_run(struct workflow *w)
{
    static const enum command_kind kinds[] = {[CLOSING_COMPLETE] = COMMAND_COMPLETE, [CLOSING_FAIL] = COMMAND_FAIL,
                                              [CLOSING_CANCEL] = COMMAND_CANCEL, [CLOSING_CONTINUE] = COMMAND_CONTINUE};
    if (w->limit_hit != LIMIT_NONE) {
        command_clear(w);
        if (w->closing != CLOSING_FAIL) {
            char text[200];
            limit_message(w, text, sizeof text);
            failure_set(w, limit_name(w->limit_hit), text, NULL, true, NULL);
            w->closing = CLOSING_FAIL;
        }
    }
    if (w->closing != CLOSING_NOT && w->failed == 0 && command_close(w, kinds[w->closing], 0) < 0)
        w->failed = err_nomem(&w->err);
}

static void run_task(struct workflow *w, lua_State *L, event e)
{
    if (!w->started) {
        broken(w, e, "comes before the run has started");
        return;
    }
    w->now_ns = pbx_timestamp_ns(e->event_time);
    w->suggest_continue = e->workflow_task_started_event_attributes->suggest_continue_as_new;
    w->last_started_id = e->event_id;
    if (w->closing != CLOSING_NOT)
        return;
    if (w->cancel_cause && !w->cancelled) /* now that all events are applied: what has ended is not cancelled */
        fiber_cancel_all(w, L);
    limits_begin(w, w->limits.instructions);
    fiber_run(w, L);
    limits_end(w);
    close_run(w);
}

/* The events of a task's commands are over: has each command had its event? */
static void end_matching(struct workflow *w, event e)
{
    char what[600], text[900];
    const struct command *left = w->matching ? next_command(w) : NULL;
    if (w->matching && !left)
        command_clear(w);
    w->matching = false;
    if (!left)
        return;
    describe_event(e, what, sizeof what);
    off_path(w, "%s, but %s, of which history knows nothing", what, wish(w, left, text, sizeof text));
}

static bool is_type(const Pb__HistoryEvent *const *events, size_t count, size_t i, Pb__EventType type)
{
    return i < count && events[i]->event_type == type;
}

/* Notes the patches that history knows. */
static void collect_patches(struct workflow *w, const Pb__HistoryEvent *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i]->event_type != PB__EVENT_TYPE__EVENT_TYPE_MARKER_RECORDED || !has_attributes(events[i]))
            continue;
        json_t *id = marker_id(events[i]);
        if (id && json_object_set_new(w->recorded_patches, json_string_value(id), json_true()) < 0)
            w->failed = err_nomem(&w->err);
        json_decref(id);
    }
}

/* Is it written amid the events of the script's commands: the cancellation of an activity that has not begun, and the memo by
 * which the worker pins the run to its script? */
static bool is_amid_commands(event e)
{
    return e->event_type == PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_CANCELED ||
           e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED;
}

static void one_event(struct workflow *w, lua_State *L, const Pb__HistoryEvent *const *events, size_t count, size_t i)
{
    event e = events[i];
    const char *name, *id;
    if (!has_attributes(e)) {
        if (!e->worker_may_ignore && e->event_type <= PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
            broken(w, e, "has no attributes of its type");
        return;
    }
    switch (e->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED:
        if (is_type(events, count, i + 1, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_FAILED) ||
            is_type(events, count, i + 1, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT))
            return;
        run_task(w, L, e);
        w->ran_ahead = i + 1 == count;
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        w->ran_ahead = false;
        w->matching = true;
        return;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_FAILED:
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        if (w->ran_ahead)
            w->failed = err_set(&w->err, ERR_STATE, "the workflow's last task was not accepted: its history is needed anew");
        return;
    default:
        if (command_of(e, &name, &id) != COMMAND_NONE) {
            match_command(w, e);
            return;
        }
        if (!is_amid_commands(e))
            end_matching(w, e);
        if (!w->nondeterminism)
            apply(w, L, e);
    }
}

void replay_task(struct workflow *w, lua_State *L, const Pb__HistoryEvent *const *events, size_t count, bool query_only)
{
    pthread_once(&attributes_once, find_attributes);
    size_t replayed = 0; /* events before this one belong to tasks that were completed */
    for (size_t i = 0; i < count; i++)
        if (events[i]->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
            replayed = i + 1;
    while (replayed > 0 && replayed < count && has_attributes(events[replayed])) { /* and the commands of the last */
        const char *name, *id;
        if (command_of(events[replayed], &name, &id) == COMMAND_NONE && !is_amid_commands(events[replayed]))
            break;
        replayed++;
    }
    collect_patches(w, events, count);
    if (query_only)
        count = replayed;
    for (size_t i = 0; i < count && w->failed == 0 && !w->nondeterminism; i++) {
        w->replaying = i < replayed;
        one_event(w, L, events, count, i);
        w->next_event_id = events[i]->event_id + 1;
    }
}
