package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hibiken/asynq"

	"rota/interop/internal/lines"
	"rota/interop/internal/shape"
)

// event is one line of output. Field At is Unix time with nanoseconds as seen by this process.
type event struct {
	Event    string            `json:"event"` // ready, start, end, error, aggregate, stopped
	At       int64             `json:"at_ns"`
	ID       string            `json:"id,omitempty"`
	Type     string            `json:"type,omitempty"`
	Queue    string            `json:"queue,omitempty"`
	Payload  []byte            `json:"payload,omitempty"`
	Headers  map[string]string `json:"headers,omitempty"`
	Retried  int               `json:"retried"`
	MaxRetry int               `json:"max_retry"`
	Deadline int64             `json:"deadline,omitempty"`
	Error    string            `json:"error,omitempty"`
	Group    string            `json:"group,omitempty"`
	Members  [][]byte          `json:"members,omitempty"`
}

// errNotFailure marks an error that IsFailure does not count.
var errNotFailure = errors.New("not a failure")

func isFailure(err error) bool { return err != nil && !errors.Is(err, errNotFailure) }

func report(name string, ctx context.Context, task *asynq.Task, err error) {
	e := event{Event: name, At: time.Now().UnixNano(), Type: task.Type(), Payload: task.Payload(), Headers: task.Headers()}
	e.ID, _ = asynq.GetTaskID(ctx)
	e.Queue, _ = asynq.GetQueueName(ctx)
	e.Retried, _ = asynq.GetRetryCount(ctx)
	e.MaxRetry, _ = asynq.GetMaxRetry(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		e.Deadline = shape.Unix(deadline)
	}
	if err != nil {
		e.Error = err.Error()
	}
	lines.Print(e)
}

func reportError(ctx context.Context, task *asynq.Task, err error) { report("error", ctx, task, err) }

func (c config) ProcessTask(ctx context.Context, task *asynq.Task) error {
	b, ok := c.Tasks[task.Type()]
	if !ok {
		b = c.Tasks["*"]
	}
	if c.RunLog != "" {
		logRun(ctx)
		return b.run(ctx, task)
	}
	report("start", ctx, task, nil)
	err := b.run(ctx, task)
	report("end", ctx, task, err)
	return err
}

// released is closed by SIGUSR1: what holds goes on.
var released = make(chan struct{})

// runLog is opened for appending, so one write is one whole line whoever else writes to the file.
var runLog *os.File

func logRun(ctx context.Context) {
	id, _ := asynq.GetTaskID(ctx)
	if _, err := runLog.WriteString(id + "\n"); err != nil {
		log.Fatal(err)
	}
}

func (b behavior) run(ctx context.Context, task *asynq.Task) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(millis(b.SleepMS)):
	}
	if b.Hold {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-released:
		}
	}
	if b.Result != nil {
		if _, err := task.ResultWriter().Write([]byte(*b.Result)); err != nil {
			return err
		}
	}
	retried, _ := asynq.GetRetryCount(ctx)
	switch {
	case b.Panic != "":
		panic(b.Panic)
	case b.SkipRetry:
		return fmt.Errorf("%s: %w", b.Error, asynq.SkipRetry)
	case b.Revoke:
		return fmt.Errorf("%s: %w", b.Error, asynq.RevokeTask)
	case b.NotFailure:
		return fmt.Errorf("%s: %w", b.Error, errNotFailure)
	case b.Fail < 0 || retried < b.Fail:
		return errors.New(b.Error)
	}
	return nil
}

func (g *group) aggregate(name string, tasks []*asynq.Task) *asynq.Task {
	members := make([][]byte, len(tasks))
	for i, task := range tasks {
		members[i] = task.Payload()
	}
	lines.Print(event{Event: "aggregate", At: time.Now().UnixNano(), Group: name, Members: members})
	retention := asynq.Retention(time.Duration(g.RetentionS) * time.Second)
	return asynq.NewTask(g.Type, bytes.Join(members, []byte("\n")), retention)
}
