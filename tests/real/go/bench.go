package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const inFlight = 50

func Nothing(_ context.Context, x int) (int, error) { return x, nil }

func One(ctx workflow.Context, x int) (out int, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	err = workflow.ExecuteActivity(ctx, Nothing, x).Get(ctx, &out)
	return out, err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// n workflows, so many at a time: workflows a second, median of one's time in ms.
func load(c client.Client, queue string, atOnce, n int) (float64, float64) {
	took := make([]float64, n)
	next := make(chan int)
	var wait sync.WaitGroup
	begin := time.Now()
	for i := 0; i < atOnce; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range next {
				t := time.Now()
				run, err := c.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{TaskQueue: queue}, One, 1)
				check(err)
				check(run.Get(context.Background(), nil))
				took[i] = time.Since(t).Seconds() * 1000
			}
		}()
	}
	for i := 0; i < n; i++ {
		next <- i
	}
	close(next)
	wait.Wait()
	rate := float64(n) / time.Since(begin).Seconds()
	sort.Float64s(took)
	return rate, took[n/2]
}

// For bench/temporal: a worker with the SDK's own settings and its client, of workflows with one activity that does nothing.
func bench(address, count string) {
	n, err := strconv.Atoi(count)
	check(err)
	c, err := client.Dial(client.Options{HostPort: address, Logger: silent{}})
	check(err)
	queue := fmt.Sprint("bench-", time.Now().UnixNano())
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflow(One)
	w.RegisterActivity(Nothing)
	check(w.Start())
	load(c, queue, 10, 20) // warm
	_, p50 := load(c, queue, 1, max(20, n/10))
	rate, _ := load(c, queue, inFlight, n)
	w.Stop()
	fmt.Printf("%.1f %.2f\n", rate, p50)
}
