/* A small server of one run for tests: turns the commands of a workflow into the events that a server would write.
 *
 * Every task can be given to a cached instance (new events only) and to a fresh one (full history); both must answer with the
 * same commands. */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

#include "base/strbuf.h"
#include "base/vec.h"
#include "workflow/workflow.h"

#include <jansson.h>

struct pending {
    int64_t event_id;
    char *name, *id; /* activity type and id; timer id; child type and workflow id */
    json_t *input;   /* of an activity or a child */
    bool cancel_requested;
    int kind; /* enum pending_kind */
};
enum pending_kind { PENDING_ACTIVITY, PENDING_TIMER, PENDING_CHILD };

struct server {
    const char *script;
    struct workflow_limits limits;
    VEC(Pb__HistoryEvent *) events;
    VEC(struct pending) pending;
    struct workflow *cached;
    int64_t previous_started, now_ns;
    bool closed, task_scheduled;
    bool keep_cache;      /* give new events to the cached instance; else full history to a fresh one each time */
    bool compare;         /* also replay with a fresh instance and compare the commands */
    struct workflow_result result; /* of the last task */
    struct strbuf commands;        /* all commands so far, as text: one line a command */
    struct strbuf logs;
    json_t *final;                 /* result of a completed run */
    Pb__Failure *failure; /* whole; its type is that of the first application failure, its message the whole chain's */
    char *failure_type, *failure_message, *failure_stack;
    Pb__EventType close_type;
    struct err err;
    int r; /* of the last workflow_task() */
};

void server_start(struct server *s, const char *script, const char *input_json, const char *context_json);
void server_release(struct server *s);
/* Runs one workflow task; gives its outcome. */
int server_task(struct server *s);
/* Ends a pending thing by name (module, workflow; NULL: a timer) and schedules a task. */
void server_complete(struct server *s, const char *name, const char *result_json);
void server_fail(struct server *s, const char *name, const char *type, const char *message);
void server_fire(struct server *s, const char *timer_id);
void server_signal(struct server *s, const char *name, const char *json);
void server_cancel(struct server *s);
/* Answers the cancellation requests of activities. */
void server_ack_cancels(struct server *s);
/* Runs tasks and completes activities with {"status":"success","summary":{"n":<seq>}} and timers until the run is closed or
 * nothing is pending. */
void server_drain(struct server *s, const char *result_json);
/* A query, answered by the cached or a fresh instance. Gives JSON text or "error: ..."; caller frees. */
char *server_query(struct server *s, const char *name, const char *arg_json);
struct pending *server_find(struct server *s, const char *name);
Pb__HistoryEvent *server_event(struct server *s, Pb__EventType type);

#endif
