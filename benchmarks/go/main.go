// Command asynq is the Go side of `python -m benchmarks`: Asynq's own client and
// server, counted by the same shared memory as every other contender.
//
//	asynq single|concurrent|bulk -addr A -seconds S   enqueue for S seconds, print {"tasks","seconds"}
//	asynq load    -addr A -tasks N                    preload N tasks, print the same
//	asynq latency -addr A                             enqueue task n for each line n on stdin, answer "n <clock ns>"
//	asynq work    -addr A -slots S -workers K         run servers; BENCH_BOARD and BENCH_GATE as in board.py
//	asynq delay   -to A -ms M                         TCP proxy that holds each request M ms, prints its address
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// parallel is the number of goroutines that share one client where enqueues run side by side.
const parallel = 50

type options struct {
	addr, to              string
	seconds, ms           float64
	tasks, slots, workers int
	queues                int
}

func parse(args []string) options {
	var o options
	f := flag.NewFlagSet("asynq", flag.ExitOnError)
	f.StringVar(&o.addr, "addr", "127.0.0.1:6379", "Redis address")
	f.Float64Var(&o.seconds, "seconds", 1, "how long to enqueue")
	f.IntVar(&o.tasks, "tasks", 1000, "how many tasks to preload")
	f.IntVar(&o.slots, "slots", 50, "concurrency of each server")
	f.IntVar(&o.workers, "workers", 1, "servers in this process")
	f.IntVar(&o.queues, "queues", 1, "queues that each server serves: default, q1, q2, ...")
	f.StringVar(&o.to, "to", "", "address behind the delay")
	f.Float64Var(&o.ms, "ms", 1, "delay of each request in milliseconds")
	_ = f.Parse(args)
	return o
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("no mode given: single, concurrent, bulk, load, latency, work or delay"))
	}
	o := parse(os.Args[2:])
	var err error
	switch mode := os.Args[1]; mode {
	case "single":
		err = report(enqueueFor(o, 1))
	case "concurrent", "bulk":
		err = report(enqueueFor(o, parallel))
	case "load":
		err = report(load(o))
	case "latency":
		err = answer(o)
	case "work":
		err = work(o)
	case "delay":
		err = delay(o.to, time.Duration(o.ms*float64(time.Millisecond)))
	default:
		err = fmt.Errorf("unknown mode %q", mode)
	}
	fail(err)
}

type measured struct {
	Tasks   int64   `json:"tasks"`
	Seconds float64 `json:"seconds"`
}

func report(m measured, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "asynq:", err)
		os.Exit(1)
	}
}
