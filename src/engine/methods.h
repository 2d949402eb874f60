/* The calls of the engine: Temporal's WorkflowService, as far as it is spoken here. One line a
 * call.
 *
 * X(ENUM, RpcName, request message, response message, flags) The C types are
 * Pb__<RpcName>Request and Pb__<RpcName>Response, so the two names follow from RpcName; lower is
 * protobuf-c's form of it. flags: ENGINE_LONG_POLL answers late on purpose; ENGINE_REPEATABLE
 * may be sent again after a connection was lost. */
#define ENGINE_METHODS(X)                                                                          \
    X(START_WORKFLOW, StartWorkflowExecution, start_workflow_execution, ENGINE_REPEATABLE)         \
    X(SIGNAL_WORKFLOW, SignalWorkflowExecution, signal_workflow_execution, ENGINE_REPEATABLE)      \
    X(SIGNAL_WITH_START, SignalWithStartWorkflowExecution,                                         \
      signal_with_start_workflow_execution, ENGINE_REPEATABLE)                                     \
    X(REQUEST_CANCEL, RequestCancelWorkflowExecution, request_cancel_workflow_execution,           \
      ENGINE_REPEATABLE)                                                                           \
    X(TERMINATE, TerminateWorkflowExecution, terminate_workflow_execution, 0)                      \
    X(DELETE, DeleteWorkflowExecution, delete_workflow_execution, 0)                               \
    X(DESCRIBE, DescribeWorkflowExecution, describe_workflow_execution, ENGINE_REPEATABLE)         \
    X(LIST, ListWorkflowExecutions, list_workflow_executions, ENGINE_REPEATABLE)                   \
    X(COUNT, CountWorkflowExecutions, count_workflow_executions, ENGINE_REPEATABLE)                \
    X(QUERY, QueryWorkflow, query_workflow, ENGINE_REPEATABLE | ENGINE_LONG_POLL)                  \
    X(GET_HISTORY, GetWorkflowExecutionHistory, get_workflow_execution_history,                    \
      ENGINE_REPEATABLE | ENGINE_LONG_POLL)                                                        \
    X(POLL_WORKFLOW_TASK, PollWorkflowTaskQueue, poll_workflow_task_queue, ENGINE_LONG_POLL)       \
    X(COMPLETE_WORKFLOW_TASK, RespondWorkflowTaskCompleted, respond_workflow_task_completed, 0)    \
    X(FAIL_WORKFLOW_TASK, RespondWorkflowTaskFailed, respond_workflow_task_failed, 0)              \
    X(COMPLETE_QUERY, RespondQueryTaskCompleted, respond_query_task_completed, 0)                  \
    X(RESET_STICKY, ResetStickyTaskQueue, reset_sticky_task_queue, ENGINE_REPEATABLE)              \
    X(POLL_ACTIVITY_TASK, PollActivityTaskQueue, poll_activity_task_queue, ENGINE_LONG_POLL)       \
    X(HEARTBEAT, RecordActivityTaskHeartbeat, record_activity_task_heartbeat, ENGINE_REPEATABLE)   \
    X(COMPLETE_ACTIVITY, RespondActivityTaskCompleted, respond_activity_task_completed,            \
      ENGINE_REPEATABLE)                                                                           \
    X(FAIL_ACTIVITY, RespondActivityTaskFailed, respond_activity_task_failed, ENGINE_REPEATABLE)   \
    X(CANCEL_ACTIVITY, RespondActivityTaskCanceled, respond_activity_task_canceled,                \
      ENGINE_REPEATABLE)                                                                           \
    X(DESCRIBE_TASK_QUEUE, DescribeTaskQueue, describe_task_queue, ENGINE_REPEATABLE)              \
    X(DESCRIBE_NAMESPACE, DescribeNamespace, describe_namespace, ENGINE_REPEATABLE)                \
    X(REGISTER_NAMESPACE, RegisterNamespace, register_namespace, 0)                                \
    X(LIST_NAMESPACES, ListNamespaces, list_namespaces, ENGINE_REPEATABLE)
