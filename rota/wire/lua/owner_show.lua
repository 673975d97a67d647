-- Extends the time to live of the records of a server whose heartbeat is late.
--
-- KEYS  1 server record, 2 hash of its running tasks, 3 what the server tells about itself (only in Rota)
-- ARGV  1 seconds to live
-- Result: 1 if there is a record
redis.call('EXPIRE', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[3], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[1])
