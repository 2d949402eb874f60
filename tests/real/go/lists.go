package main

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// What lists show comes some time after the fact on a cluster.
func (l *lab) lists(ctx context.Context) error {
	id := fmt.Sprint("list-", time.Now().UnixNano())
	run, err := l.c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: l.queue,
		Memo: map[string]interface{}{"why": "a test"}}, Again, 3)
	if err != nil {
		return err
	}
	if err := run.Get(ctx, nil); err != nil {
		return err
	}
	d, err := l.c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return err
	}
	if d.WorkflowExecutionInfo.Status != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED || d.WorkflowExecutionInfo.Memo == nil {
		return fmt.Errorf("described as %v", d.WorkflowExecutionInfo)
	}
	query := fmt.Sprintf("WorkflowId = '%s' AND ExecutionStatus = 'Completed'", id)
	for n := 0; n == 0; time.Sleep(50 * time.Millisecond) {
		r, err := l.c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query})
		if err != nil {
			return err
		}
		n = len(r.Executions)
	}
	count, err := l.c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return err
	}
	return same(count.Count, int64(1))
}
