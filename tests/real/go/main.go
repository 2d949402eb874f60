// The official Go SDK as client and worker against any server that speaks Temporal's protocol.
//
// usage: go-sample ADDRESS [NAMESPACE]      prints one line a case, then "N passed, N failed"
//
//	go-sample --bench ADDRESS N        runs N workflows; prints "workflows/s p50_ms", of 50 in flight and of one at a time
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

type silent struct{}

func (silent) Debug(string, ...interface{}) {}
func (silent) Info(string, ...interface{})  {}
func (silent) Warn(string, ...interface{})  {}
func (silent) Error(string, ...interface{}) {}

// --- activities ---

func Echo(_ context.Context, x string) (string, error) { return x, nil }

// Fails twice, then says which attempt it is and what the one before left in its heartbeat.
func Flaky(ctx context.Context) (string, error) {
	info := activity.GetInfo(ctx)
	if info.Attempt <= 2 {
		activity.RecordHeartbeat(ctx, info.Attempt*10)
		return "", temporal.NewApplicationError("not yet", "Flaky")
	}
	var left int
	if activity.HasHeartbeatDetails(ctx) {
		_ = activity.GetHeartbeatDetails(ctx, &left)
	}
	return fmt.Sprintf("%d after %d", info.Attempt, left), nil
}

func Fatal(context.Context) error {
	return temporal.NewNonRetryableApplicationError("never", "Fatal", nil, 7)
}

// Heartbeats until it is told to stop.
func Patient(ctx context.Context) error {
	for {
		activity.RecordHeartbeat(ctx, "here")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// --- workflows ---

func options(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 20 * time.Second,
		HeartbeatTimeout:    5 * time.Second,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, MaximumAttempts: 5},
	})
}

func Activities(ctx workflow.Context) (string, error) {
	var a, b string
	ctx = options(ctx)
	f := workflow.ExecuteActivity(ctx, Echo, "x")
	if err := workflow.ExecuteActivity(ctx, Flaky).Get(ctx, &b); err != nil {
		return "", err
	}
	if err := f.Get(ctx, &a); err != nil {
		return "", err
	}
	return a + " " + b, nil
}

func Fails(ctx workflow.Context) error { return workflow.ExecuteActivity(options(ctx), Fatal).Get(ctx, nil) }

func Timers(ctx workflow.Context) (string, error) {
	short, stop := workflow.WithCancel(ctx)
	long := workflow.NewTimer(short, time.Hour)
	if err := workflow.Sleep(ctx, 50*time.Millisecond); err != nil {
		return "", err
	}
	stop()
	err := long.Get(ctx, nil)
	return fmt.Sprint("canceled: ", temporal.IsCanceledError(err)), nil
}

// Adds up what signals and updates bring, tells queries, and ends at "end".
func Sum(ctx workflow.Context) (int, error) {
	sum, done := 0, false
	_ = workflow.SetQueryHandler(ctx, "sum", func() (int, error) { return sum, nil })
	_ = workflow.SetUpdateHandlerWithOptions(ctx, "add", func(ctx workflow.Context, n int) (int, error) {
		if err := workflow.Sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
		sum += n
		return sum, nil
	}, workflow.UpdateHandlerOptions{Validator: func(ctx workflow.Context, n int) error {
		if n < 0 {
			return errors.New("less than nothing")
		}
		return nil
	}})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var n int
			workflow.GetSignalChannel(ctx, "add").Receive(ctx, &n)
			sum += n
		}
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
		done = true
	})
	err := workflow.Await(ctx, func() bool { return done && workflow.AllHandlersFinished(ctx) })
	return sum, err
}

func Parent(ctx workflow.Context) (string, error) {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowRunTimeout: time.Minute})
	var out string
	if err := workflow.ExecuteChildWorkflow(ctx, Timers).Get(ctx, &out); err != nil {
		return "", err
	}
	f := workflow.ExecuteChildWorkflow(ctx, Sum)
	if err := f.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return "", err
	}
	if err := f.SignalChildWorkflow(ctx, "add", 5).Get(ctx, nil); err != nil {
		return "", err
	}
	if err := f.SignalChildWorkflow(ctx, "end", nil).Get(ctx, nil); err != nil {
		return "", err
	}
	var sum int
	if err := f.Get(ctx, &sum); err != nil {
		return "", err
	}
	var failure *temporal.ChildWorkflowExecutionError
	err := workflow.ExecuteChildWorkflow(ctx, Fails).Get(ctx, nil)
	return fmt.Sprint(out, ", ", sum, ", failed: ", errors.As(err, &failure)), nil
}

func Again(ctx workflow.Context, n int) (int, error) {
	if n < 3 {
		return 0, workflow.NewContinueAsNewError(ctx, Again, n+1)
	}
	return n, nil
}

// Waits for an activity; when cancelled, cleans up and ends as cancelled.
func Cancelled(ctx workflow.Context) error {
	err := workflow.ExecuteActivity(options(ctx), Patient).Get(ctx, nil)
	if temporal.IsCanceledError(err) {
		rest, _ := workflow.NewDisconnectedContext(ctx)
		if e := workflow.ExecuteActivity(options(rest), Echo, "clean").Get(rest, nil); e != nil {
			return e
		}
	}
	return err
}

var sides, locals atomic.Int32

func Local(context.Context) (string, error) {
	if locals.Add(1)%2 == 1 {
		return "", errors.New("once more")
	}
	return "local", nil
}

func Recorded(ctx workflow.Context) (string, error) {
	var side int
	if err := workflow.SideEffect(ctx, func(workflow.Context) interface{} { return int(sides.Add(1)) }).Get(&side); err != nil {
		return "", err
	}
	v := workflow.GetVersion(ctx, "change", workflow.DefaultVersion, 2)
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 5 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, MaximumAttempts: 3}})
	var out string
	if err := workflow.ExecuteLocalActivity(local, Local).Get(ctx, &out); err != nil {
		return "", err
	}
	if err := workflow.Sleep(ctx, 20*time.Millisecond); err != nil {
		return "", err
	}
	return fmt.Sprint(out, " version ", v, " side ", side > 0), nil
}

// --- the round ---

type lab struct {
	c              client.Client
	queue          string
	passed, failed int
}

func (l *lab) start(ctx context.Context, what interface{}, args ...interface{}) client.WorkflowRun {
	run, err := l.c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: l.queue}, what, args...)
	if err != nil {
		panic(err)
	}
	return run
}

func (l *lab) test(name string, f func(ctx context.Context) error) {
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
		}()
		return f(ctx)
	}()
	if err != nil {
		l.failed++
		fmt.Println("FAIL", name+":", err)
		return
	}
	l.passed++
	fmt.Println("ok  ", name)
}

func same(got, want interface{}) error {
	if got != want {
		return fmt.Errorf("got %v, wanted %v", got, want)
	}
	return nil
}

func (l *lab) round() {
	l.test("activities, retries, heartbeat details", func(ctx context.Context) error {
		var out string
		if err := l.start(ctx, Activities).Get(ctx, &out); err != nil {
			return err
		}
		return same(out, "x 3 after 20")
	})
	l.test("a failure keeps its type and details", func(ctx context.Context) error {
		err := l.start(ctx, Fails).Get(ctx, nil)
		var app *temporal.ApplicationError
		var act *temporal.ActivityError
		if !errors.As(err, &app) || !errors.As(err, &act) {
			return fmt.Errorf("got %v", err)
		}
		var n int
		_ = app.Details(&n)
		return same(fmt.Sprintln(app.Type(), app.NonRetryable(), n), "Fatal true 7\n")
	})
	l.test("timers", func(ctx context.Context) error {
		var out string
		if err := l.start(ctx, Timers).Get(ctx, &out); err != nil {
			return err
		}
		return same(out, "canceled: true")
	})
	l.test("signals and queries", l.signals)
	l.test("updates", l.updates)
	l.test("children", func(ctx context.Context) error {
		var out string
		if err := l.start(ctx, Parent).Get(ctx, &out); err != nil {
			return err
		}
		return same(out, "canceled: true, 5, failed: true")
	})
	l.test("continue as new", func(ctx context.Context) error {
		var n int
		run := l.start(ctx, Again, 1)
		first := run.GetRunID()
		if err := run.Get(ctx, &n); err != nil {
			return err
		}
		if run.GetRunID() == first {
			return errors.New("the run id is the same")
		}
		return same(n, 3)
	})
	l.test("cancellation", l.cancellation)
	l.test("termination", func(ctx context.Context) error {
		run := l.start(ctx, Sum)
		if err := l.c.TerminateWorkflow(ctx, run.GetID(), "", "enough"); err != nil {
			return err
		}
		var e *temporal.TerminatedError
		if err := run.Get(ctx, nil); !errors.As(err, &e) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	l.test("local activity, side effect, version", func(ctx context.Context) error {
		var out string
		if err := l.start(ctx, Recorded).Get(ctx, &out); err != nil {
			return err
		}
		return same(out, "local version 2 side true")
	})
	l.test("ids", l.ids)
	l.test("describe and list", l.lists)
}

func (l *lab) signals(ctx context.Context) error {
	run := l.start(ctx, Sum)
	for i := 1; i <= 3; i++ {
		if err := l.c.SignalWorkflow(ctx, run.GetID(), "", "add", i); err != nil {
			return err
		}
	}
	sum := func() (n int, err error) {
		v, err := l.c.QueryWorkflow(ctx, run.GetID(), "", "sum")
		if err == nil {
			err = v.Get(&n)
		}
		return n, err
	}
	for n := 0; n != 6; {
		var err error
		if n, err = sum(); err != nil {
			return err
		}
	}
	if _, err := l.c.QueryWorkflow(ctx, run.GetID(), "", "nothing"); err == nil || !strings.Contains(err.Error(), "nothing") {
		return fmt.Errorf("an unknown query: %v", err)
	}
	if err := l.c.SignalWorkflow(ctx, run.GetID(), "", "end", nil); err != nil {
		return err
	}
	var n int
	if err := run.Get(ctx, &n); err != nil {
		return err
	}
	closed, err := sum() // by replay
	if err != nil {
		return err
	}
	return same(fmt.Sprint(n, closed), "6 6")
}

func (l *lab) updates(ctx context.Context) error {
	run := l.start(ctx, Sum)
	update := func(n int) (int, error) {
		h, err := l.c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: run.GetID(), UpdateName: "add",
			Args: []interface{}{n}, WaitForStage: client.WorkflowUpdateStageCompleted})
		if err != nil {
			return 0, err
		}
		var out int
		err = h.Get(ctx, &out)
		return out, err
	}
	if n, err := update(4); err != nil || n != 4 {
		return fmt.Errorf("update: %d, %v", n, err)
	}
	if _, err := update(-1); err == nil || !strings.Contains(err.Error(), "less than nothing") {
		return fmt.Errorf("a refused update: %v", err)
	}
	if n, err := update(5); err != nil || n != 9 {
		return fmt.Errorf("second update: %d, %v", n, err)
	}
	if err := l.c.SignalWorkflow(ctx, run.GetID(), "", "end", nil); err != nil {
		return err
	}
	var n int
	if err := run.Get(ctx, &n); err != nil {
		return err
	}
	return same(n, 9)
}

func (l *lab) cancellation(ctx context.Context) error {
	run := l.start(ctx, Cancelled)
	for pending := 0; pending == 0; { // the activity runs
		d, err := l.c.DescribeWorkflowExecution(ctx, run.GetID(), "")
		if err != nil {
			return err
		}
		for _, a := range d.PendingActivities {
			if a.State == enumspb.PENDING_ACTIVITY_STATE_STARTED {
				pending++
			}
		}
	}
	if err := l.c.CancelWorkflow(ctx, run.GetID(), ""); err != nil {
		return err
	}
	if err := run.Get(ctx, nil); !temporal.IsCanceledError(err) {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func (l *lab) ids(ctx context.Context) error {
	id := fmt.Sprint("go-", time.Now().UnixNano())
	o := client.StartWorkflowOptions{ID: id, TaskQueue: l.queue, WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE}
	run, err := l.c.ExecuteWorkflow(ctx, o, Again, 3)
	if err != nil {
		return err
	}
	if err := run.Get(ctx, nil); err != nil {
		return err
	}
	_, err = l.c.ExecuteWorkflow(ctx, o, Again, 3)
	var exists *serviceerror.WorkflowExecutionAlreadyStarted
	if !errors.As(err, &exists) {
		return fmt.Errorf("got %v", err)
	}
	err = l.c.SignalWorkflow(ctx, "nobody-"+id, "", "x", nil)
	var absent *serviceerror.NotFound
	if !errors.As(err, &absent) {
		return fmt.Errorf("a signal to nobody: %v", err)
	}
	s, err := l.c.SignalWithStartWorkflow(ctx, id+"-s", "end", nil, client.StartWorkflowOptions{TaskQueue: l.queue}, Sum)
	if err != nil {
		return err
	}
	return s.Get(ctx, nil)
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go-sample ADDRESS [NAMESPACE]")
		os.Exit(2)
	}
	if len(os.Args) == 4 && os.Args[1] == "--bench" {
		bench(os.Args[2], os.Args[3])
		return
	}
	namespace := "default"
	if len(os.Args) > 2 {
		namespace = os.Args[2]
	}
	c, err := client.Dial(client.Options{HostPort: os.Args[1], Namespace: namespace, Logger: silent{}})
	if err != nil {
		fmt.Println("FAIL connect:", err)
		os.Exit(1)
	}
	l := &lab{c: c, queue: fmt.Sprint("go-", time.Now().UnixNano())}
	for _, cache := range []int{100, 0} {
		worker.SetStickyWorkflowCacheSize(cache)
		w := worker.New(c, l.queue, worker.Options{})
		for _, f := range []interface{}{Activities, Fails, Timers, Sum, Parent, Again, Cancelled, Recorded} {
			w.RegisterWorkflow(f)
		}
		for _, f := range []interface{}{Echo, Flaky, Fatal, Patient} {
			w.RegisterActivity(f)
		}
		if err := w.Start(); err != nil {
			fmt.Println("FAIL start the worker:", err)
			os.Exit(1)
		}
		fmt.Println("with a cache of", cache)
		l.round()
		w.Stop()
	}
	fmt.Printf("%d passed, %d failed\n", l.passed, l.failed)
	if l.failed > 0 {
		os.Exit(1)
	}
}
