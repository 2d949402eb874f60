/* The handlers of the calls, one for each method (call.c has the table). */
#ifndef FF_ENGINE_CALLS_H
#define FF_ENGINE_CALLS_H

#include "engine/embedded/engine_internal.h"

/* calls_start.c */
void call_start(struct eng *e, struct call *c);
void call_signal_with_start(struct eng *e, struct call *c);
/* calls_run.c */
void call_signal(struct eng *e, struct call *c);
void call_request_cancel(struct eng *e, struct call *c);
void call_terminate(struct eng *e, struct call *c);
void call_delete(struct eng *e, struct call *c);
void call_query(struct eng *e, struct call *c);
void call_reset_sticky(struct eng *e, struct call *c);
void call_reset_workflow(struct eng *e, struct call *c);
/* calls_wtask.c */
void call_poll_workflow_task(struct eng *e, struct call *c);
void call_complete_workflow_task(struct eng *e, struct call *c);
void call_fail_workflow_task(struct eng *e, struct call *c);
void call_complete_query(struct eng *e, struct call *c);
/* calls_activity.c */
void call_poll_activity_task(struct eng *e, struct call *c);
void call_heartbeat(struct eng *e, struct call *c);
void call_complete_activity(struct eng *e, struct call *c);
void call_fail_activity(struct eng *e, struct call *c);
void call_cancel_activity(struct eng *e, struct call *c);
void call_heartbeat_by_id(struct eng *e, struct call *c);
void call_complete_activity_by_id(struct eng *e, struct call *c);
void call_fail_activity_by_id(struct eng *e, struct call *c);
void call_cancel_activity_by_id(struct eng *e, struct call *c);
/* calls_history.c */
void call_get_history(struct eng *e, struct call *c);
/* The run has new events: answers those who wait for them. After they are in the database,
 * before the commit. */
void history_wake(struct eng *e, struct run *run);
void history_drop(struct eng *e, struct call *c);
/* An answer for a history poll whose time is over: no events, and the token to go on with. */
void history_answer_late(struct eng *e, struct call *c);
void call_get_history_reverse(struct eng *e, struct call *c);
/* calls_update.c */
void call_update_workflow(struct eng *e, struct call *c);
void call_poll_update(struct eng *e, struct call *c);
int update_check_request(const Pb__UpdateWorkflowExecutionRequest *q, struct err *err);
/* Sets what the call waits for. false: out of memory. */
bool update_set_wait(struct eng *e, struct call *c, const Pb__UpdateWorkflowExecutionRequest *q);
/* calls_multi.c */
void call_multi_operation(struct eng *e, struct call *c);
/* The answer with both responses; takes over update. */
ProtobufCMessage *multi_answer(struct eng *e, struct call *c, Pb__UpdateWorkflowExecutionResponse *update);
/* The update failed, after the start was done. */
void multi_fail(struct eng *e, struct call *c, enum err_code code, const char *message);
/* calls_system.c */
void call_get_system_info(struct eng *e, struct call *c);
void call_get_cluster_info(struct eng *e, struct call *c);
void call_get_search_attributes(struct eng *e, struct call *c);
void call_list_partitions(struct eng *e, struct call *c);
void call_shutdown_worker(struct eng *e, struct call *c);
/* calls_visibility.c */
void call_list(struct eng *e, struct call *c);
void call_count(struct eng *e, struct call *c);
void call_scan(struct eng *e, struct call *c);
void call_list_open(struct eng *e, struct call *c);
void call_list_closed(struct eng *e, struct call *c);
Pb__WorkflowExecutionInfo *visibility_info(struct eng *e, const Pb__EmbeddedRun *s);
/* calls_describe.c */
void call_describe(struct eng *e, struct call *c);
void call_describe_task_queue(struct eng *e, struct call *c);
/* calls_namespace.c */
void call_describe_namespace(struct eng *e, struct call *c);
void call_register_namespace(struct eng *e, struct call *c);
void call_list_namespaces(struct eng *e, struct call *c);
void call_update_namespace(struct eng *e, struct call *c);
void call_delete_namespace(struct eng *e, struct call *c);

#define ENGINE_CLUSTER_ID_SIZE 40
void call_cluster_id(const struct eng *e, char buf[ENGINE_CLUSTER_ID_SIZE]);

/* calls_operator.c */
void call_add_search_attributes(struct eng *e, struct call *c);
void call_remove_search_attributes(struct eng *e, struct call *c);
void call_list_search_attributes(struct eng *e, struct call *c);
void call_list_clusters(struct eng *e, struct call *c);

#endif
