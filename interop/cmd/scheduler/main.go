// Command scheduler runs Asynq's scheduler with one entry, or with equal ones, until TERM, or prints the enqueue events of an entry as JSON.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hibiken/asynq"

	"rota/interop/internal/connect"
	"rota/interop/internal/lines"
)

type event struct {
	Task string `json:"task"`
	At   int64  `json:"at"`
}

func main() {
	redis := connect.Flag()
	history := flag.String("history", "", "print the enqueue events of the entry with this ID")
	spec := flag.String("spec", "@every 1s", "the spec of the entry")
	entries := flag.Int("entries", 1, "the number of equal entries")
	flag.Parse()
	if *history != "" {
		print(asynq.NewInspector(redis()), *history)
		return
	}
	scheduler := asynq.NewScheduler(redis(), &asynq.SchedulerOpts{HeartbeatInterval: time.Second})
	var id string
	for range *entries {
		var err error
		task := asynq.NewTask("cron:go", []byte(`{"a":1}`))
		if id, err = scheduler.Register(*spec, task, asynq.Queue("low"), asynq.MaxRetry(3)); err != nil {
			log.Fatal(err)
		}
	}
	if err := scheduler.Start(); err != nil {
		log.Fatal(err)
	}
	lines.Print(map[string]string{"id": id})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	scheduler.Shutdown()
}

func print(inspector *asynq.Inspector, id string) {
	defer inspector.Close()
	found, err := inspector.ListSchedulerEnqueueEvents(id, asynq.PageSize(1000))
	if err != nil {
		log.Fatal(err)
	}
	for _, each := range found {
		lines.Print(event{Task: each.TaskID, At: each.EnqueuedAt.UnixMilli()})
	}
}
