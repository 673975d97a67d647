// Command values writes a struct as encoding/json writes it, and reads one back: with no arguments it prints a struct
// with values and one with zero values; with -read it decodes each line of stdin and prints it in Go's syntax.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"time"
)

type item struct {
	Name string            `json:"name"`
	Tags []string          `json:"tags"`
	Meta map[string]string `json:"meta"`
}

type values struct {
	Count   int64            `json:"count"`
	Big     uint64           `json:"big"`
	Ratio   float64          `json:"ratio"`
	Wait    time.Duration    `json:"wait"`
	Data    []byte           `json:"data"`
	At      time.Time        `json:"at"`
	Tags    []string         `json:"tags"`
	Limits  map[string]int   `json:"limits"`
	ByID    map[int64]string `json:"by_id"`
	Note    *string          `json:"note"`
	Item    item             `json:"item"`
	Items   []item           `json:"items"`
	Pointer *item            `json:"pointer"`
	Any     any              `json:"any"`
	Text    string           `json:"text"`
}

func main() {
	read := flag.Bool("read", false, "decode each line of stdin")
	flag.Parse()
	if *read {
		readAll()
		return
	}
	note := "n"
	full := values{
		Count: math.MinInt64, Big: math.MaxUint64, Ratio: 0.1, Wait: 90*time.Second + 1500*time.Nanosecond,
		Data: []byte{0, 255, 62}, At: time.Date(2030, 1, 2, 3, 4, 5, 123456789, time.FixedZone("", 2*3600)),
		Tags: []string{"b", "a"}, Limits: map[string]int{"z": 1, "a": 2}, ByID: map[int64]string{7: "x"}, Note: &note,
		Item: item{Name: "i", Tags: []string{"t"}}, Items: []item{{Name: "j"}}, Pointer: &item{}, Any: []int{1},
		Text: "<a> & \u2028 ä\x00",
	}
	for _, each := range []values{full, {}} {
		out, err := json.Marshal(each)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(out))
	}
}

func readAll() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var got values
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Printf("%d %d %v %v %v %s %v %v %v %v\n", got.Count, got.Big, got.Ratio, got.Wait, got.Data,
			got.At.Format(time.RFC3339Nano), got.Tags, got.Limits, got.ByID, got.Item)
	}
}
