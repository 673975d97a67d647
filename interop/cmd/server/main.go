// Command server runs Asynq's own server. What its handlers do is said per task type in -config; every start,
// end and error of a task is one JSON line. SIGTERM and SIGINT stop it as they stop any Asynq server.
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

func main() {
	redis := connect.Flag()
	text := flag.String("config", "{}", "JSON: queues, strict, concurrency, intervals, group, tasks")
	flag.Parse()
	var conf config
	lines.Strict([]byte(*text), &conf)
	if conf.RunLog != "" {
		file, err := os.OpenFile(conf.RunLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			log.Fatal(err)
		}
		runLog = file
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	releases := make(chan os.Signal, 1)
	signal.Notify(releases, syscall.SIGUSR1)
	go release(releases)
	server := asynq.NewServer(redis(), conf.asynq())
	if err := server.Start(conf); err != nil {
		log.Fatal(err)
	}
	awaitRecord(redis())
	lines.Print(event{Event: "ready"})
	<-signals
	server.Shutdown()
	lines.Print(event{Event: "stopped"})
}

func release(asked <-chan os.Signal) {
	<-asked
	close(released)
}

// awaitRecord returns when this server is in the list of servers, for Start returns before its first heartbeat. Where
// the broker is away it gives up after a while: the server works on, and its record comes later.
func awaitRecord(redis asynq.RedisConnOpt) {
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		servers, _ := inspector.Servers()
		for _, server := range servers {
			if server.PID == os.Getpid() {
				return
			}
		}
	}
}
