// Package connect reads the one flag that every program here shares: where Redis is.
package connect

import (
	"flag"
	"log"
	"strings"

	"github.com/hibiken/asynq"
)

// Flag registers -redis. Call the result after flag.Parse.
func Flag() func() asynq.RedisConnOpt {
	uri := flag.String("redis", "redis://127.0.0.1:6379/0", "redis://, rediss://, redis-socket:// or unix:// URI")
	return func() asynq.RedisConnOpt {
		opt, err := Parse(*uri)
		if err != nil {
			log.Fatalf("-redis: %v", err)
		}
		return opt
	}
}

// Parse is asynq.ParseRedisURI, and also takes unix://, the scheme of Python clients.
func Parse(uri string) (asynq.RedisConnOpt, error) {
	if rest, ok := strings.CutPrefix(uri, "unix://"); ok {
		uri = "redis-socket://" + rest
	}
	return asynq.ParseRedisURI(uri)
}
