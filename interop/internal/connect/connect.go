// Package connect reads the one flag that every program here shares: where Redis is.
package connect

import (
	"flag"
	"fmt"
	"log"
	"net/url"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
)

// Flag registers -redis. Call the result after flag.Parse.
func Flag() func() asynq.RedisConnOpt {
	uri := flag.String("redis", "redis://127.0.0.1:6379/0", "a URL as Rota reads it: redis://, rediss://, unix://, "+
		"redis-sentinel://h1:p1,h2:p2/0?master=mymaster, redis+cluster://h1:p1,h2:p2")
	return func() asynq.RedisConnOpt {
		opt, err := Parse(*uri)
		if err != nil {
			log.Fatalf("-redis: %v", err)
		}
		return opt
	}
}

// Parse reads a URL of Rota's. asynq.ParseRedisURI does not know Clusters, nor user names, nor the database behind a
// Sentinel; what it knows is left to it.
func Parse(uri string) (asynq.RedisConnOpt, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	user := u.User.Username()
	password, _ := u.User.Password()
	hosts := strings.Split(u.Host, ",")
	switch u.Scheme {
	case "unix", "redis-socket":
		db, err := database(u.Query().Get("db"))
		return asynq.RedisClientOpt{Network: "unix", Addr: u.Path, Username: user, Password: password, DB: db}, err
	case "redis-sentinel":
		db, err := database(strings.Trim(u.Path, "/"))
		return asynq.RedisFailoverClientOpt{
			MasterName: u.Query().Get("master"), SentinelAddrs: hosts, Username: user, Password: password, DB: db,
		}, err
	case "redis+cluster":
		return asynq.RedisClusterClientOpt{Addrs: hosts, Username: user, Password: password}, nil
	}
	return asynq.ParseRedisURI(uri)
}

func database(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("the database is not a number: %q", text)
	}
	return number, nil
}
