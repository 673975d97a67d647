// Package load enqueues many tasks the fastest way Asynq has: goroutines that share one client.
package load

import (
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// Run enqueues n tasks, made by task(i), from g goroutines, and returns how long that took.
func Run(client *asynq.Client, n, g int, task func(i int) *asynq.Task, opts ...asynq.Option) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range g {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if _, err := client.Enqueue(task(i), opts...); err != nil {
					log.Fatalf("enqueue %d: %v", i, err)
				}
			}
		}()
	}
	wg.Wait()
	return time.Since(begin)
}
