// Package shape turns what Asynq's public API shows into JSON, losing nothing: bytes as base64, times as Unix
// seconds (0 where Go has its zero time), durations as seconds.
package shape

import (
	"time"

	"github.com/hibiken/asynq"
)

// Task is asynq.TaskInfo.
type Task struct {
	ID            string            `json:"id"`
	Queue         string            `json:"queue"`
	Type          string            `json:"type"`
	Payload       []byte            `json:"payload"`
	Headers       map[string]string `json:"headers"`
	State         string            `json:"state"`
	MaxRetry      int               `json:"max_retry"`
	Retried       int               `json:"retried"`
	LastError     string            `json:"last_error"`
	LastFailedAt  int64             `json:"last_failed_at"`
	TimeoutS      float64           `json:"timeout_s"`
	Deadline      int64             `json:"deadline"`
	Group         string            `json:"group"`
	NextProcessAt int64             `json:"next_process_at"`
	IsOrphaned    bool              `json:"is_orphaned"`
	RetentionS    float64           `json:"retention_s"`
	CompletedAt   int64             `json:"completed_at"`
	Result        []byte            `json:"result"`
}

// OfTask keeps every field of the Inspector's view.
func OfTask(info *asynq.TaskInfo) Task {
	return Task{
		ID: info.ID, Queue: info.Queue, Type: info.Type, Payload: info.Payload, Headers: info.Headers,
		State: info.State.String(), MaxRetry: info.MaxRetry, Retried: info.Retried, LastError: info.LastErr,
		LastFailedAt: Unix(info.LastFailedAt), TimeoutS: info.Timeout.Seconds(), Deadline: Unix(info.Deadline),
		Group: info.Group, NextProcessAt: Unix(info.NextProcessAt), IsOrphaned: info.IsOrphaned,
		RetentionS: info.Retention.Seconds(), CompletedAt: Unix(info.CompletedAt), Result: info.Result,
	}
}

// OfTasks never returns nil, so that JSON shows [] and not null.
func OfTasks(infos []*asynq.TaskInfo) []Task {
	tasks := make([]Task, 0, len(infos))
	for _, info := range infos {
		tasks = append(tasks, OfTask(info))
	}
	return tasks
}

// Queue is asynq.QueueInfo.
type Queue struct {
	Queue          string  `json:"queue"`
	MemoryUsage    int64   `json:"memory_usage"`
	LatencyS       float64 `json:"latency_s"`
	Size           int     `json:"size"`
	Groups         int     `json:"groups"`
	Pending        int     `json:"pending"`
	Active         int     `json:"active"`
	Scheduled      int     `json:"scheduled"`
	Retry          int     `json:"retry"`
	Archived       int     `json:"archived"`
	Completed      int     `json:"completed"`
	Aggregating    int     `json:"aggregating"`
	Processed      int     `json:"processed"`
	Failed         int     `json:"failed"`
	ProcessedTotal int     `json:"processed_total"`
	FailedTotal    int     `json:"failed_total"`
	Paused         bool    `json:"paused"`
}

// OfQueue keeps every field but the time of the snapshot.
func OfQueue(info *asynq.QueueInfo) Queue {
	return Queue{
		Queue: info.Queue, MemoryUsage: info.MemoryUsage, LatencyS: info.Latency.Seconds(), Size: info.Size,
		Groups: info.Groups, Pending: info.Pending, Active: info.Active, Scheduled: info.Scheduled, Retry: info.Retry,
		Archived: info.Archived, Completed: info.Completed, Aggregating: info.Aggregating, Processed: info.Processed,
		Failed: info.Failed, ProcessedTotal: info.ProcessedTotal, FailedTotal: info.FailedTotal, Paused: info.Paused,
	}
}

// Day is asynq.DailyStats.
type Day struct {
	Date      string `json:"date"`
	Processed int    `json:"processed"`
	Failed    int    `json:"failed"`
}

// OfDays keeps the order: today (UTC) first.
func OfDays(stats []*asynq.DailyStats) []Day {
	days := make([]Day, 0, len(stats))
	for _, day := range stats {
		days = append(days, Day{day.Date.UTC().Format(time.DateOnly), day.Processed, day.Failed})
	}
	return days
}

// Worker is asynq.WorkerInfo: one running task.
type Worker struct {
	TaskID   string `json:"task_id"`
	TaskType string `json:"task_type"`
	Payload  []byte `json:"payload"`
	Queue    string `json:"queue"`
	Started  int64  `json:"started"`
	Deadline int64  `json:"deadline"`
}

// Server is asynq.ServerInfo.
type Server struct {
	ID          string         `json:"id"`
	Host        string         `json:"host"`
	PID         int            `json:"pid"`
	Concurrency int            `json:"concurrency"`
	Queues      map[string]int `json:"queues"`
	Strict      bool           `json:"strict"`
	Started     int64          `json:"started"`
	Status      string         `json:"status"`
	Workers     []Worker       `json:"workers"`
}

// OfServers never returns nil.
func OfServers(infos []*asynq.ServerInfo) []Server {
	servers := make([]Server, 0, len(infos))
	for _, info := range infos {
		server := Server{
			ID: info.ID, Host: info.Host, PID: info.PID, Concurrency: info.Concurrency, Queues: info.Queues,
			Strict: info.StrictPriority, Started: Unix(info.Started), Status: info.Status,
			Workers: make([]Worker, 0, len(info.ActiveWorkers)),
		}
		for _, w := range info.ActiveWorkers {
			server.Workers = append(server.Workers, Worker{
				w.TaskID, w.TaskType, w.TaskPayload, w.Queue, Unix(w.Started), Unix(w.Deadline),
			})
		}
		servers = append(servers, server)
	}
	return servers
}

// Entry is asynq.SchedulerEntry.
type Entry struct {
	ID      string   `json:"id"`
	Spec    string   `json:"spec"`
	Type    string   `json:"type"`
	Payload []byte   `json:"payload"`
	Options []string `json:"options"`
	Next    int64    `json:"next"`
	Prev    int64    `json:"prev"`
}

// OfEntries never returns nil.
func OfEntries(infos []*asynq.SchedulerEntry) []Entry {
	entries := make([]Entry, 0, len(infos))
	for _, info := range infos {
		entry := Entry{
			ID: info.ID, Spec: info.Spec, Type: info.Task.Type(), Payload: info.Task.Payload(),
			Options: []string{}, Next: Unix(info.Next), Prev: Unix(info.Prev),
		}
		for _, option := range info.Opts {
			entry.Options = append(entry.Options, option.String())
		}
		entries = append(entries, entry)
	}
	return entries
}

// Unix is 0 for Go's zero time.
func Unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
