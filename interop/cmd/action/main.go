// Command action carries out one Inspector action per JSON line of stdin and answers each with {"count": n} or
// {"error": …, "kind": …}.
package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/hibiken/asynq"

	"rota/interop/internal/connect"
	"rota/interop/internal/lines"
)

// request: Do is run, archive, delete, update, cancel, pause, unpause, delete_queue, or a bulk verb
// (run_all, archive_all, delete_all) with State, and Group where State is aggregating.
type request struct {
	Do      string `json:"do"`
	Queue   string `json:"queue"`
	ID      string `json:"id"`
	State   string `json:"state"`
	Group   string `json:"group"`
	Payload []byte `json:"payload"`
	Force   bool   `json:"force"`
}

type answer struct {
	Count int    `json:"count"`
	Error string `json:"error,omitempty"`
	Kind  string `json:"kind,omitempty"`
}

func main() {
	redis := connect.Flag()
	flag.Parse()
	inspector := asynq.NewInspector(redis())
	defer inspector.Close()
	lines.Each(func(r request) {
		count, err := act(inspector, r)
		lines.Print(answerOf(count, err))
	})
}

func answerOf(count int, err error) answer {
	if err == nil {
		return answer{Count: count}
	}
	kind := "other"
	for name, known := range map[string]error{
		"queue_not_found": asynq.ErrQueueNotFound,
		"queue_not_empty": asynq.ErrQueueNotEmpty,
		"task_not_found":  asynq.ErrTaskNotFound,
	} {
		if errors.Is(err, known) {
			kind = name
		}
	}
	return answer{Error: err.Error(), Kind: kind}
}

func act(i *asynq.Inspector, r request) (int, error) {
	switch r.Do {
	case "run":
		return 1, i.RunTask(r.Queue, r.ID)
	case "archive":
		return 1, i.ArchiveTask(r.Queue, r.ID)
	case "delete":
		return 1, i.DeleteTask(r.Queue, r.ID)
	case "update":
		return 1, i.UpdateTaskPayload(r.Queue, r.ID, r.Payload)
	case "cancel":
		return 1, i.CancelProcessing(r.ID)
	case "pause":
		return 1, i.PauseQueue(r.Queue)
	case "unpause":
		return 1, i.UnpauseQueue(r.Queue)
	case "delete_queue":
		return 1, i.DeleteQueue(r.Queue, r.Force)
	}
	return bulk(i, r)
}

func bulk(i *asynq.Inspector, r request) (int, error) {
	grouped := map[string]func(string, string) (int, error){
		"run_all":     i.RunAllAggregatingTasks,
		"archive_all": i.ArchiveAllAggregatingTasks,
		"delete_all":  i.DeleteAllAggregatingTasks,
	}
	plain := map[string]func(string) (int, error){
		"run_all scheduled":     i.RunAllScheduledTasks,
		"run_all retry":         i.RunAllRetryTasks,
		"run_all archived":      i.RunAllArchivedTasks,
		"archive_all pending":   i.ArchiveAllPendingTasks,
		"archive_all scheduled": i.ArchiveAllScheduledTasks,
		"archive_all retry":     i.ArchiveAllRetryTasks,
		"delete_all pending":    i.DeleteAllPendingTasks,
		"delete_all scheduled":  i.DeleteAllScheduledTasks,
		"delete_all retry":      i.DeleteAllRetryTasks,
		"delete_all archived":   i.DeleteAllArchivedTasks,
		"delete_all completed":  i.DeleteAllCompletedTasks,
	}
	if all, ok := grouped[r.Do]; ok && r.State == "aggregating" {
		return all(r.Queue, r.Group)
	}
	if all, ok := plain[r.Do+" "+r.State]; ok {
		return all(r.Queue)
	}
	return 0, fmt.Errorf("no such action: %q of state %q", r.Do, r.State)
}
