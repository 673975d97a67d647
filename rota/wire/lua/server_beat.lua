-- Writes the records of one server and of its running tasks, and lists it: `server_write` and `server_list` in one.
--
-- KEYS  1 server record, 2 hash of its running tasks, 3 list of servers, 4 list of those hashes,
--       5 list of published types, 6 record of the types of this server (5 and 6 may be left out)
-- ARGV  as for `server_write`
-- Result: 1 if the record of the types has to be written
-- Not for a Cluster, where the lists are on other nodes.
--! include clock
--! include published
redis.call('ZCARD', KEYS[3]) -- reads that fail on a key of the wrong type, before the first write
redis.call('ZCARD', KEYS[4])
if KEYS[5] then
  redis.call('ZCARD', KEYS[5])
end
--! include server_write
list(KEYS[3], KEYS[1], ARGV[1])
list(KEYS[4], KEYS[2], ARGV[1])
return keep(KEYS[5], KEYS[6], KEYS[1], ARGV[1])
