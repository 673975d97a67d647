// Command client enqueues one task per JSON line of stdin through Asynq's own client, and answers each with
// {"task": …} or {"error": …, "kind": "duplicate"|"conflict"|"other"}. With -bulk N it enqueues N tasks and ends.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"time"

	"github.com/hibiken/asynq"

	"rota/interop/internal/connect"
	"rota/interop/internal/lines"
	"rota/interop/internal/load"
	"rota/interop/internal/shape"
)

// request has one field per option of Asynq. A field that is absent is an option that is not given.
type request struct {
	Type        string            `json:"type"`
	Payload     []byte            `json:"payload"`
	Headers     map[string]string `json:"headers"`
	Queue       *string           `json:"queue"`
	MaxRetry    *int              `json:"max_retry"`
	TimeoutMS   *int64            `json:"timeout_ms"`
	Deadline    *float64          `json:"deadline"`
	ProcessAt   *float64          `json:"process_at"`
	ProcessInMS *int64            `json:"process_in_ms"`
	UniqueMS    *int64            `json:"unique_ms"`
	ID          *string           `json:"id"`
	RetentionMS *int64            `json:"retention_ms"`
	Group       *string           `json:"group"`
}

type answer struct {
	Task  *shape.Task `json:"task,omitempty"`
	Error string      `json:"error,omitempty"`
	Kind  string      `json:"kind,omitempty"`
}

func main() {
	redis := connect.Flag()
	bulk := flag.Int("bulk", 0, "enqueue this many tasks with payload {\"n\": i}, then end")
	goroutines := flag.Int("goroutines", 50, "with -bulk: goroutines on one client")
	queue := flag.String("queue", "default", "with -bulk")
	typename := flag.String("type", "bulk:task", "with -bulk")
	flag.Parse()
	client := asynq.NewClient(redis())
	defer client.Close()
	if *bulk > 0 {
		task := func(i int) *asynq.Task { return asynq.NewTask(*typename, fmt.Appendf(nil, `{"n": %d}`, i)) }
		took := load.Run(client, *bulk, *goroutines, task, asynq.Queue(*queue))
		lines.Print(map[string]any{"tasks": *bulk, "seconds": took.Seconds()})
		return
	}
	lines.Each(func(r request) { lines.Print(enqueue(client, r)) })
}

func enqueue(client *asynq.Client, r request) answer {
	info, err := client.Enqueue(asynq.NewTaskWithHeaders(r.Type, r.Payload, r.Headers), options(r)...)
	switch {
	case errors.Is(err, asynq.ErrDuplicateTask):
		return answer{Error: err.Error(), Kind: "duplicate"}
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return answer{Error: err.Error(), Kind: "conflict"}
	case err != nil:
		return answer{Error: err.Error(), Kind: "other"}
	}
	task := shape.OfTask(info)
	return answer{Task: &task}
}

func options(r request) []asynq.Option {
	var opts []asynq.Option
	opts = add(opts, r.Queue, asynq.Queue)
	opts = add(opts, r.MaxRetry, asynq.MaxRetry)
	opts = add(opts, r.TimeoutMS, func(ms int64) asynq.Option { return asynq.Timeout(millis(ms)) })
	opts = add(opts, r.Deadline, func(at float64) asynq.Option { return asynq.Deadline(unix(at)) })
	opts = add(opts, r.ProcessAt, func(at float64) asynq.Option { return asynq.ProcessAt(unix(at)) })
	opts = add(opts, r.ProcessInMS, func(ms int64) asynq.Option { return asynq.ProcessIn(millis(ms)) })
	opts = add(opts, r.UniqueMS, func(ms int64) asynq.Option { return asynq.Unique(millis(ms)) })
	opts = add(opts, r.ID, asynq.TaskID)
	opts = add(opts, r.RetentionMS, func(ms int64) asynq.Option { return asynq.Retention(millis(ms)) })
	return add(opts, r.Group, asynq.Group)
}

func add[T any](opts []asynq.Option, given *T, option func(T) asynq.Option) []asynq.Option {
	if given == nil {
		return opts
	}
	return append(opts, option(*given))
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func unix(at float64) time.Time {
	whole, fraction := math.Modf(at)
	return time.Unix(int64(whole), int64(fraction*1e9))
}
