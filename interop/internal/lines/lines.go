// Package lines is how these programs talk: one JSON value a line, in and out.
package lines

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"
	"sync"
)

var mu sync.Mutex
var out = json.NewEncoder(os.Stdout)

// Print writes one value as one line. Safe for concurrent use.
func Print(value any) {
	mu.Lock()
	defer mu.Unlock()
	if err := out.Encode(value); err != nil {
		log.Fatalf("stdout: %v", err)
	}
}

// Each decodes stdin line by line, and refuses fields that nobody reads.
func Each[T any](act func(T)) {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 1 {
			act(decode[T](line))
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Fatalf("stdin: %v", err)
		}
	}
}

func decode[T any](line []byte) T {
	var value T
	Strict(line, &value)
	return value
}

// Strict decodes one JSON text and ends the program on an unknown field: a typing error in a test must not pass.
func Strict(text []byte, into any) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		log.Fatalf("%v in %s", err, text)
	}
}
