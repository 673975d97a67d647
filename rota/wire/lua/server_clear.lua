-- Deletes the records of one server and of its running tasks.
--
-- KEYS  1 server record, 2 hash of its running tasks, 3 what the server tells about itself (only in Rota)
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
