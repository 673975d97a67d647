package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

const taskType = "bench:noop"

func newTask(n int64) *asynq.Task {
	return asynq.NewTask(taskType, []byte(`{"n":`+strconv.FormatInt(n, 10)+`}`))
}

func open(o options) *asynq.Client {
	return asynq.NewClient(asynq.RedisClientOpt{Addr: o.addr, PoolSize: parallel})
}

// enqueueFor enqueues from some goroutines on one client until the time is over.
// Opening the first connection is not counted.
func enqueueFor(o options, goroutines int) (measured, error) {
	length := time.Duration(o.seconds * float64(time.Second))
	return enqueue(o, goroutines, func(_ int64, since time.Time) bool { return time.Since(since) < length })
}

func load(o options) (measured, error) {
	return enqueue(o, parallel, func(n int64, _ time.Time) bool { return n <= int64(o.tasks) })
}

func enqueue(o options, goroutines int, more func(int64, time.Time) bool) (measured, error) {
	client := open(o)
	defer client.Close()
	if err := client.Ping(); err != nil {
		return measured{}, err
	}
	var next, done atomic.Int64
	var group sync.WaitGroup
	failures := make(chan error, goroutines)
	start := time.Now()
	for range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := next.Add(1); more(n, start); n = next.Add(1) {
				if _, err := client.Enqueue(newTask(n)); err != nil {
					failures <- err
					return
				}
				done.Add(1)
			}
		}()
	}
	group.Wait()
	took := time.Since(start).Seconds()
	close(failures)
	return measured{Tasks: done.Load(), Seconds: took}, <-failures
}

// answer enqueues one task per line of stdin; its reply carries the clock just before the enqueue.
func answer(o options) error {
	client := open(o)
	defer client.Close()
	if err := client.Ping(); err != nil {
		return err
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			return err
		}
		before := clock()
		if _, err := client.Enqueue(newTask(n)); err != nil {
			return err
		}
		fmt.Println(n, before)
	}
	return lines.Err()
}
