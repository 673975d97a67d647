package main

import (
	"fmt"
	"net"
	"time"
)

// delay is a proxy that holds what a client sends for a while and passes answers
// on at once: a slower network of the same width. Pipelined requests stay
// pipelined, because each chunk waits from its own arrival.
func delay(to string, wait time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			return err
		}
		go hold(client, server, wait)
		go hold(server, client, 0)
	}
}

type chunk struct {
	bytes []byte
	due   time.Time
}

func hold(from, to net.Conn, wait time.Duration) {
	chunks := make(chan chunk, 1024)
	go func() {
		defer to.Close()
		for c := range chunks {
			time.Sleep(time.Until(c.due))
			if _, err := to.Write(c.bytes); err != nil {
				from.Close()
			}
		}
	}()
	defer close(chunks)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		chunks <- chunk{append([]byte(nil), buffer[:n]...), time.Now().Add(wait)}
	}
}
