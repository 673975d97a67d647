package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hibiken/asynq"
)

type arguments struct {
	N int64 `json:"n"`
}

// work runs servers until TERM. They differ from Asynq's defaults in nothing
// but the concurrency, the log level and a connection for each slot.
func work(o options) error {
	b, err := newBoard()
	if err != nil {
		return err
	}
	mux := asynq.NewServeMux()
	mux.HandleFunc(taskType, func(_ context.Context, task *asynq.Task) error {
		var a arguments
		if err := json.Unmarshal(task.Payload(), &a); err != nil {
			return err
		}
		b.mark(a.N)
		return nil
	})
	queues := map[string]int{"default": 1}
	for i := 1; i < o.queues; i++ {
		queues[fmt.Sprintf("q%d", i)] = 1
	}
	var servers []*asynq.Server
	for range o.workers {
		server := asynq.NewServer(
			asynq.RedisClientOpt{Addr: o.addr, PoolSize: o.slots + 10},
			asynq.Config{Concurrency: o.slots, Queues: queues, LogLevel: asynq.FatalLevel},
		)
		if err := server.Start(mux); err != nil {
			return err
		}
		servers = append(servers, server)
	}
	fmt.Println("ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	for _, server := range servers {
		server.Shutdown()
	}
	return nil
}
