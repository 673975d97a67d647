-- Writes the records of one server and of its running tasks, and lists it: `server_write` and `server_list` in one.
--
-- KEYS  1 to 4 as for `server_write`, 5 list of servers, 6 list of the hashes of running tasks,
--       7 list of published types, 8 record of the types of this server (7 and 8 may be left out)
-- ARGV  as for `server_write`
-- Result: { 1 if the record of the types has to be written, { id, order, ... } }
-- Not for a Cluster, where the lists are on other nodes.
--! include clock
--! include published
--! include server_records
redis.call('ZCARD', KEYS[5]) -- reads that fail on a key of the wrong type, before the first write
redis.call('ZCARD', KEYS[6])
if KEYS[7] then
  redis.call('ZCARD', KEYS[7])
end
local orders = write_records()
list(KEYS[5], KEYS[1], ARGV[1])
list(KEYS[6], KEYS[2], ARGV[1])
return { keep(KEYS[7], KEYS[8], KEYS[1], ARGV[1]), orders }
