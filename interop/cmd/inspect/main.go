// Command inspect prints, as one JSON value, everything that Asynq's Inspector sees: queues with their statistics,
// history, groups and tasks of every state, servers with their running tasks, and scheduler entries.
package main

import (
	"flag"
	"log"
	"sort"

	"github.com/hibiken/asynq"

	"rota/interop/internal/connect"
	"rota/interop/internal/lines"
	"rota/interop/internal/shape"
)

type queueDump struct {
	Info    shape.Queue             `json:"info"`
	History []shape.Day             `json:"history"`
	Tasks   map[string][]shape.Task `json:"tasks"`
	Groups  map[string]int          `json:"groups"`
}

type dump struct {
	Queues     map[string]queueDump `json:"queues"`
	Servers    []shape.Server       `json:"servers"`
	Schedulers []shape.Entry        `json:"schedulers"`
}

type lister func(queue string, opts ...asynq.ListOption) ([]*asynq.TaskInfo, error)

func main() {
	redis := connect.Flag()
	only := flag.String("queue", "", "only this queue")
	days := flag.Int("days", 2, "days of history")
	deep := flag.Bool("deep", true, "ask for each task by its ID too: the only view that has the result of every state")
	flag.Parse()
	inspector := asynq.NewInspector(redis())
	defer inspector.Close()
	d := dump{
		Queues:     map[string]queueDump{},
		Servers:    shape.OfServers(must(inspector.Servers())),
		Schedulers: shape.OfEntries(must(inspector.SchedulerEntries())),
	}
	sort.Slice(d.Servers, func(i, j int) bool { return d.Servers[i].ID < d.Servers[j].ID })
	for _, queue := range must(inspector.Queues()) {
		if *only == "" || *only == queue {
			d.Queues[queue] = look(inspector, queue, *days, *deep)
		}
	}
	lines.Print(d)
}

func look(inspector *asynq.Inspector, queue string, days int, deep bool) queueDump {
	q := queueDump{
		Info:    shape.OfQueue(must(inspector.GetQueueInfo(queue))),
		History: shape.OfDays(must(inspector.History(queue, days))),
		Tasks:   map[string][]shape.Task{},
		Groups:  map[string]int{},
	}
	for state, list := range map[string]lister{
		"active": inspector.ListActiveTasks, "pending": inspector.ListPendingTasks,
		"scheduled": inspector.ListScheduledTasks, "retry": inspector.ListRetryTasks,
		"archived": inspector.ListArchivedTasks, "completed": inspector.ListCompletedTasks,
	} {
		q.Tasks[state] = shape.OfTasks(must(list(queue, asynq.PageSize(0))))
	}
	q.Tasks["aggregating"] = []shape.Task{}
	groups := must(inspector.Groups(queue))
	sort.Slice(groups, func(i, j int) bool { return groups[i].Group < groups[j].Group })
	for _, group := range groups {
		q.Groups[group.Group] = group.Size
		members := must(inspector.ListAggregatingTasks(queue, group.Group, asynq.PageSize(0)))
		q.Tasks["aggregating"] = append(q.Tasks["aggregating"], shape.OfTasks(members)...)
	}
	if deep {
		addResults(inspector, q)
	}
	return q
}

func addResults(inspector *asynq.Inspector, q queueDump) {
	for _, tasks := range q.Tasks {
		for i := range tasks {
			if info, err := inspector.GetTaskInfo(tasks[i].Queue, tasks[i].ID); err == nil {
				tasks[i].Result = info.Result
			}
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
