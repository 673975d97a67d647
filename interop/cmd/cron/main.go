// Command cron reads lines of JSON with a cron spec, a time zone and an instant, and prints for each the next times as
// robfig/cron's standard parser finds them, which is the one that Asynq's scheduler uses.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // the zones that the test names are there on a machine without them

	"github.com/robfig/cron/v3"
)

type request struct {
	Spec  string `json:"spec"`
	Zone  string `json:"zone"`
	From  string `json:"from"`
	Count int    `json:"count"`
}

type answer struct {
	Error string   `json:"error,omitempty"`
	Next  []string `json:"next"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		out, err := json.Marshal(next(asked))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(out))
	}
}

func next(asked request) (found answer) {
	defer func() { // the parser itself panics on a zone without a space behind it
		if fault := recover(); fault != nil {
			found = answer{Error: fmt.Sprint("panic: ", fault)}
		}
	}()
	zone, err := time.LoadLocation(asked.Zone)
	if err != nil {
		panic(err)
	}
	at, err := time.Parse(time.RFC3339Nano, asked.From)
	if err != nil {
		panic(err)
	}
	schedule, err := cron.ParseStandard(asked.Spec)
	if err != nil {
		return answer{Error: err.Error()}
	}
	at = at.In(zone)
	for range asked.Count {
		at = schedule.Next(at)
		if at.IsZero() {
			break
		}
		found.Next = append(found.Next, at.UTC().Format(time.RFC3339Nano))
	}
	return found
}
