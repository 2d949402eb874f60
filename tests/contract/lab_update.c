#include "lab_update.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct lab_pending *lab_begin_update(struct lab *l, const char *id, const char *run_id, const char *update_id,
                                        stage_t stage)
{
    Pb__UpdateWorkflowExecutionRequest q = PB__UPDATE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__UpdateWaitPolicy wait = PB__UPDATE_WAIT_POLICY__INIT;
    Pb__UpdateRequest r = PB__UPDATE_REQUEST__INIT;
    Pb__UpdateMeta meta = PB__UPDATE_META__INIT;
    Pb__UpdateInput input = PB__UPDATE_INPUT__INIT;
    x.workflow_id = (char *)id;
    x.run_id = (char *)(run_id ? run_id : "");
    meta.update_id = (char *)update_id;
    meta.identity = (char *)"client";
    input.name = (char *)"set";
    input.args = lab_payloads("5");
    r.meta = &meta;
    r.input = &input;
    wait.lifecycle_stage = stage;
    q.namespace_ = (char *)l->ns;
    q.workflow_execution = &x;
    q.wait_policy = &wait;
    q.request = &r;
    return lab_begin(l, ENGINE_UPDATE_WORKFLOW, &q, 60000);
}

Pb__UpdateWorkflowExecutionResponse *lab_end_update(struct lab_pending *p)
{
    Pb__UpdateWorkflowExecutionResponse *r = NULL;
    struct err err = {0};
    if (lab_end(p, &r, &err) < 0)
        fail_msg("update: %s", err.msg);
    return r;
}

int lab_poll_update(struct lab *l, const char *id, const char *run_id, const char *update_id, stage_t stage,
                       Pb__PollWorkflowExecutionUpdateResponse **ret)
{
    Pb__PollWorkflowExecutionUpdateRequest q = PB__POLL_WORKFLOW_EXECUTION_UPDATE_REQUEST__INIT;
    Pb__UpdateRef ref = PB__UPDATE_REF__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__UpdateWaitPolicy wait = PB__UPDATE_WAIT_POLICY__INIT;
    x.workflow_id = (char *)id;
    x.run_id = (char *)(run_id ? run_id : "");
    ref.workflow_execution = &x;
    ref.update_id = (char *)update_id;
    wait.lifecycle_stage = stage;
    q.namespace_ = (char *)l->ns;
    q.update_ref = &ref;
    q.wait_policy = &wait;
    return lab_call(l, ENGINE_POLL_UPDATE, &q, 15000, ret, NULL);
}

/* Messages of a worker, and the commands that say where they stand. At most 8 at a time. */
static Pb__ProtocolMessage *message(const char *update_id, const char *suffix, const char *type, ProtobufCMessage *body)
{
    Pb__ProtocolMessage *m = calloc(1, sizeof *m);
    Pb__Any *any = calloc(1, sizeof *any);
    char text[200];
    pb__protocol_message__init(m);
    pb__any__init(any);
    snprintf(text, sizeof text, "%s/%s", update_id, suffix);
    m->id = strdup(text);
    m->protocol_instance_id = strdup(update_id);
    snprintf(text, sizeof text, "type.googleapis.com/temporal.api.update.v1.%s", type);
    any->type_url = strdup(text);
    any->value.len = protobuf_c_message_get_packed_size(body);
    any->value.data = malloc(any->value.len + 1);
    protobuf_c_message_pack(body, any->value.data);
    m->body = any;
    return lab_keep(m);
}

Pb__ProtocolMessage *lab_accept(const char *update_id, const Pb__PollWorkflowTaskQueueResponse *t)
{
    Pb__UpdateAcceptance a = PB__UPDATE_ACCEPTANCE__INIT;
    char id[100];
    snprintf(id, sizeof id, "%s/request", update_id);
    a.accepted_request_message_id = id;
    a.accepted_request_sequencing_event_id = t->started_event_id - 1;
    return message(update_id, "accept", "Acceptance", &a.base);
}

Pb__ProtocolMessage *lab_completed(const char *update_id, const char *result)
{
    Pb__UpdateResponse r = PB__UPDATE_RESPONSE__INIT;
    Pb__UpdateMeta meta = PB__UPDATE_META__INIT;
    Pb__UpdateOutcome o = PB__UPDATE_OUTCOME__INIT;
    meta.update_id = (char *)update_id;
    meta.identity = (char *)"client";
    o.value_case = PB__UPDATE_OUTCOME__VALUE_SUCCESS;
    o.success = lab_payloads(result);
    r.meta = &meta;
    r.outcome = &o;
    return message(update_id, "complete", "Response", &r.base);
}

Pb__ProtocolMessage *lab_reject(const char *update_id, const Pb__PollWorkflowTaskQueueResponse *t)
{
    Pb__UpdateRejection r = PB__UPDATE_REJECTION__INIT;
    Pb__Failure f = PB__FAILURE__INIT;
    Pb__ApplicationFailureInfo info = PB__APPLICATION_FAILURE_INFO__INIT;
    char id[100];
    snprintf(id, sizeof id, "%s/request", update_id);
    f.message = (char *)"not that";
    f.failure_info_case = PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO;
    f.application_failure_info = &info;
    r.rejected_request_message_id = id;
    r.rejected_request_sequencing_event_id = t->started_event_id - 1;
    r.failure = &f;
    return message(update_id, "reject", "Rejection", &r.base);
}

static Pb__Command *place(const Pb__ProtocolMessage *m)
{
    Pb__Command *k = calloc(1, sizeof *k);
    Pb__ProtocolMessageCommandAttributes *a = calloc(1, sizeof *a);
    pb__command__init(k);
    pb__protocol_message_command_attributes__init(a);
    k->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_PROTOCOL_MESSAGE;
    k->attributes_case = PB__COMMAND__ATTRIBUTES_PROTOCOL_MESSAGE_COMMAND_ATTRIBUTES;
    k->protocol_message_command_attributes = a;
    a->message_id = strdup(m->id);
    return lab_keep(k);
}

/* Answers a task: each message that is no rejection has its place among the commands, before `last` (or NULL). */
int lab_answer(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, Pb__ProtocolMessage **messages, size_t n,
                  Pb__Command *last, Pb__RespondWorkflowTaskCompletedResponse **ret, struct err *err)
{
    Pb__RespondWorkflowTaskCompletedRequest q = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
    Pb__RespondWorkflowTaskCompletedRequestCapabilities k = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST_CAPABILITIES__INIT;
    Pb__Command *commands[9];
    k.discard_speculative_workflow_task_with_events = true;
    for (size_t i = 0; i < n; i++)
        if (!strstr(messages[i]->id, "/reject"))
            commands[q.n_commands++] = place(messages[i]);
    if (last)
        commands[q.n_commands++] = last;
    q.namespace_ = (char *)l->ns;
    q.identity = (char *)"worker";
    q.task_token = t->task_token;
    q.commands = commands;
    q.messages = messages;
    q.n_messages = n;
    q.capabilities = &k;
    return lab_call(l, ENGINE_COMPLETE_WORKFLOW_TASK, &q, 0, ret, err);
}

int lab_reset(struct lab *l, const char *id, const char *run_id, int64_t finish_id, const char *request_id,
                 const char **ret_run_id)
{
    Pb__ResetWorkflowExecutionRequest q = PB__RESET_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__ResetWorkflowExecutionResponse *r = NULL;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    x.workflow_id = (char *)id;
    x.run_id = (char *)(run_id ? run_id : "");
    q.namespace_ = (char *)l->ns;
    q.workflow_execution = &x;
    q.workflow_task_finish_event_id = finish_id;
    q.reason = (char *)"once more";
    q.request_id = (char *)request_id;
    int e = lab_call(l, ENGINE_RESET_WORKFLOW, &q, 0, &r, NULL);
    if (e == 0 && ret_run_id)
        *ret_run_id = r->run_id;
    return e;
}
