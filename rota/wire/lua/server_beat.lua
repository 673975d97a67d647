-- Writes the records of one server and of its running tasks, and lists it: `server_write` and `server_list` in one.
--
-- KEYS  1 server record, 2 hash of its running tasks, 3 list of servers, 4 list of those hashes
-- ARGV  as for `server_write`
-- Not for a Cluster, where the lists are on other nodes.
--! include clock
--! include listed
redis.call('ZCARD', KEYS[3]) -- reads that fail on a key of the wrong type, before the first write
redis.call('ZCARD', KEYS[4])
--! include server_write
list(KEYS[3], KEYS[1], ARGV[1])
list(KEYS[4], KEYS[2], ARGV[1])
