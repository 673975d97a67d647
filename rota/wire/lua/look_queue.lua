-- Reads the numbers of one queue.
--
-- KEYS  1 pending, 2 active, 3 scheduled, 4 retry, 5 archived, 6 completed, 7 lease, 8 paused, 9 groups,
--       10 processed, 11 failed, 12 crashed (only in Rota), then the same three for each requested day;
--       the last two keys: counters of repairs, record of the pause (both only in Rota)
-- ARGV  1 task key prefix, 2 group key prefix, 3 approximate number of groups to count
-- Result: { Redis time in seconds (text), { lengths of keys 1 to 6 }, expired leases, value of `paused`,
--           pending_since of the next task, { values of the counters from key 10 on }, number of groups,
--           cursor of the next page of groups, { group, size, ... }, { kind of repair, number, ... },
--           how the queue is paused (see `pause_row`) }
--! include clock
--! include pause_row
local lengths = {}
for i = 1, 2 do
  lengths[i] = redis.call('LLEN', KEYS[i])
end
for i = 3, 6 do
  lengths[i] = redis.call('ZCARD', KEYS[i])
end
local next_id = redis.call('LINDEX', KEYS[1], -1)
local since = next_id and redis.call('HGET', ARGV[1] .. next_id, 'pending_since')
-- Returned as texts, because a Lua number would round a counter above 2^53.
local counters = {}
for i = 10, #KEYS - 2 do
  counters[#counters + 1] = redis.call('GET', KEYS[i])
end
--! include look_sizes
local page = sizes(KEYS[9], ARGV[2], '0', ARGV[3])
return {
  string.format('%.6f', now), lengths, redis.call('ZCOUNT', KEYS[7], '-inf', math.floor(now)), redis.call('GET', KEYS[8]), since,
  counters, redis.call('SCARD', KEYS[9]), page[1], page[2],
  redis.call('HGETALL', KEYS[#KEYS - 1]), pause_row(KEYS[8], KEYS[#KEYS]),
}
