// Command mon serves Asynqmon, the web console of Asynq, on a loopback port, and prints which.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/hibiken/asynqmon"

	"rota/interop/internal/connect"
	"rota/interop/internal/lines"
)

func main() {
	redis := connect.Flag()
	port := flag.Int("port", 0, "0 = any free port")
	readOnly := flag.Bool("read-only", false, "refuse every action")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	handler := asynqmon.New(asynqmon.Options{RedisConnOpt: redis(), ReadOnly: *readOnly})
	defer handler.Close()
	lines.Print(map[string]any{"event": "ready", "port": listener.Addr().(*net.TCPAddr).Port})
	log.Fatal(http.Serve(listener, handler))
}
