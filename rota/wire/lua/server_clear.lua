-- Deletes the record of one server and of the tasks it runs.
--
-- KEYS  1 server record, 2 hash of its running tasks
redis.call('DEL', KEYS[1], KEYS[2])
