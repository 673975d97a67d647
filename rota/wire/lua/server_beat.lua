-- Writes the records of one server and of its running tasks, and lists it: `server_write` and `server_list` in one.
--
-- KEYS  1 to 3 as for `server_write`, 4 list of servers, 5 list of the hashes of running tasks,
--       6 list of published types, 7 record of the types of this server (6 and 7 may be left out)
-- ARGV  as for `server_write`
-- Result: { 1 if the record of the types has to be written, { id, order, ... } }
-- Not for a Cluster, where the lists are on other nodes.
--! include clock
--! include published
--! include server_records
redis.call('ZCARD', KEYS[4]) -- reads that fail on a key of the wrong type, before the first write
redis.call('ZCARD', KEYS[5])
if KEYS[6] then
  redis.call('ZCARD', KEYS[6])
end
local orders = write_records()
list(KEYS[4], KEYS[1], ARGV[1])
list(KEYS[5], KEYS[2], ARGV[1])
return { keep(KEYS[6], KEYS[7], KEYS[1], ARGV[1]), orders }
