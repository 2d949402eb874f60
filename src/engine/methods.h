/* The calls of the engine: Temporal's WorkflowService (and OperatorService), as far as it is spoken here. One line a
 * call; one that a back end does not have answers ERR_UNIMPLEMENTED.
 *
 * X(ENUM, RpcName, request message, response message, flags) The C types are
 * Pb__<RpcName>Request and Pb__<RpcName>Response, so the two names follow from RpcName; lower is
 * protobuf-c's form of it. flags: ENGINE_LONG_POLL answers late on purpose; ENGINE_REPEATABLE
 * may be sent again after a connection was lost; ENGINE_OPERATOR belongs to the OperatorService. */
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
    X(LIST_NAMESPACES, ListNamespaces, list_namespaces, ENGINE_REPEATABLE)                         \
    X(UPDATE_NAMESPACE, UpdateNamespace, update_namespace, 0)                                      \
    X(GET_SYSTEM_INFO, GetSystemInfo, get_system_info, ENGINE_REPEATABLE)                          \
    X(GET_CLUSTER_INFO, GetClusterInfo, get_cluster_info, ENGINE_REPEATABLE)                       \
    X(GET_HISTORY_REVERSE, GetWorkflowExecutionHistoryReverse,                                     \
      get_workflow_execution_history_reverse, ENGINE_REPEATABLE)                                   \
    X(UPDATE_WORKFLOW, UpdateWorkflowExecution, update_workflow_execution,                         \
      ENGINE_REPEATABLE | ENGINE_LONG_POLL)                                                        \
    X(POLL_UPDATE, PollWorkflowExecutionUpdate, poll_workflow_execution_update,                    \
      ENGINE_REPEATABLE | ENGINE_LONG_POLL)                                                        \
    X(MULTI_OPERATION, ExecuteMultiOperation, execute_multi_operation,                             \
      ENGINE_REPEATABLE | ENGINE_LONG_POLL)                                                        \
    X(RESET_WORKFLOW, ResetWorkflowExecution, reset_workflow_execution, ENGINE_REPEATABLE)         \
    X(HEARTBEAT_BY_ID, RecordActivityTaskHeartbeatById, record_activity_task_heartbeat_by_id,      \
      ENGINE_REPEATABLE)                                                                           \
    X(COMPLETE_ACTIVITY_BY_ID, RespondActivityTaskCompletedById,                                   \
      respond_activity_task_completed_by_id, ENGINE_REPEATABLE)                                    \
    X(FAIL_ACTIVITY_BY_ID, RespondActivityTaskFailedById, respond_activity_task_failed_by_id,      \
      ENGINE_REPEATABLE)                                                                           \
    X(CANCEL_ACTIVITY_BY_ID, RespondActivityTaskCanceledById,                                      \
      respond_activity_task_canceled_by_id, ENGINE_REPEATABLE)                                     \
    X(SHUTDOWN_WORKER, ShutdownWorker, shutdown_worker, ENGINE_REPEATABLE)                         \
    X(LIST_OPEN, ListOpenWorkflowExecutions, list_open_workflow_executions, ENGINE_REPEATABLE)     \
    X(LIST_CLOSED, ListClosedWorkflowExecutions, list_closed_workflow_executions,                  \
      ENGINE_REPEATABLE)                                                                           \
    X(SCAN, ScanWorkflowExecutions, scan_workflow_executions, ENGINE_REPEATABLE)                   \
    X(GET_SEARCH_ATTRIBUTES, GetSearchAttributes, get_search_attributes, ENGINE_REPEATABLE)        \
    X(LIST_PARTITIONS, ListTaskQueuePartitions, list_task_queue_partitions, ENGINE_REPEATABLE)     \
    X(ADD_SEARCH_ATTRIBUTES, AddSearchAttributes, add_search_attributes, ENGINE_OPERATOR)          \
    X(REMOVE_SEARCH_ATTRIBUTES, RemoveSearchAttributes, remove_search_attributes, ENGINE_OPERATOR) \
    X(LIST_SEARCH_ATTRIBUTES, ListSearchAttributes, list_search_attributes,                        \
      ENGINE_REPEATABLE | ENGINE_OPERATOR)                                                         \
    X(DELETE_NAMESPACE, DeleteNamespace, delete_namespace, ENGINE_OPERATOR)                        \
    X(LIST_CLUSTERS, ListClusters, list_clusters, ENGINE_REPEATABLE | ENGINE_OPERATOR)
