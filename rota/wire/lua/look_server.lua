-- Reads the record of one server and the records of its running tasks.
--
-- KEYS  1 server record, 2 hash of its running tasks
-- Result: { server record, { record of a running task, ... } }
return { redis.call('GET', KEYS[1]), redis.call('HVALS', KEYS[2]) }
