-- Adds an enqueue event to the history of one entry, as Asynq's schedulers do. At most 1000 events are kept.
--
-- KEYS  1 history: sorted set of events
-- ARGV  1 Unix seconds, 2 event
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1000)
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
