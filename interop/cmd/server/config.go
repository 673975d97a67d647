package main

import (
	"time"

	"github.com/hibiken/asynq"
)

// config is the JSON text of -config. What is absent keeps Asynq's default.
type config struct {
	Queues         map[string]int      `json:"queues"`
	Strict         bool                `json:"strict"`
	Concurrency    int                 `json:"concurrency"`
	TaskCheckMS    int64               `json:"task_check_ms"`
	DelayedCheckMS int64               `json:"delayed_check_ms"`
	JanitorMS      int64               `json:"janitor_ms"`
	ShutdownMS     int64               `json:"shutdown_ms"`
	RetryDelayMS   *int64              `json:"retry_delay_ms"`
	Group          *group              `json:"group"`
	Tasks          map[string]behavior `json:"tasks"`   // by task type; "*" is for all others
	RunLog         string              `json:"run_log"` // a file that gets the ID of each task that starts, instead of events
}

// group switches the aggregator on: the members' payloads become one task, joined by newlines.
type group struct {
	GraceMS    int64  `json:"grace_ms"`
	MaxDelayMS int64  `json:"max_delay_ms"`
	MaxSize    int    `json:"max_size"`
	Type       string `json:"type"`
	RetentionS int64  `json:"retention_s"`
}

// behavior is what the handler of one task type does. Empty: succeed.
type behavior struct {
	SleepMS    int64   `json:"sleep_ms"`
	Hold       bool    `json:"hold"` // wait, after the sleep, until this program gets SIGUSR1
	Fail       int     `json:"fail"` // fail while fewer retries than this are counted; -1: always
	Error      string  `json:"error"`
	Result     *string `json:"result"`
	Panic      string  `json:"panic"`
	SkipRetry  bool    `json:"skip_retry"`
	Revoke     bool    `json:"revoke"`
	NotFailure bool    `json:"not_failure"`
}

func (c config) asynq() asynq.Config {
	conf := asynq.Config{
		Concurrency: c.Concurrency, Queues: c.Queues, StrictPriority: c.Strict,
		TaskCheckInterval: millis(c.TaskCheckMS), DelayedTaskCheckInterval: millis(c.DelayedCheckMS),
		JanitorInterval: millis(c.JanitorMS), ShutdownTimeout: millis(c.ShutdownMS),
		LogLevel: asynq.WarnLevel, IsFailure: isFailure, ErrorHandler: asynq.ErrorHandlerFunc(reportError),
	}
	if c.RetryDelayMS != nil {
		delay := millis(*c.RetryDelayMS)
		conf.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return delay }
	}
	if g := c.Group; g != nil {
		conf.GroupGracePeriod, conf.GroupMaxDelay, conf.GroupMaxSize = millis(g.GraceMS), millis(g.MaxDelayMS), g.MaxSize
		conf.GroupAggregator = asynq.GroupAggregatorFunc(g.aggregate)
	}
	return conf
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
