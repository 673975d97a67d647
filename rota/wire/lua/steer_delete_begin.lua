-- Begins to delete a queue: from now on no worker takes its tasks, and producers are refused.
--
-- KEYS  1 paused, 2 record of the pause (only in Rota), 3 active, 4 aggregation_sets
-- ARGV  1 id of this deletion, 2 JSON with who, why and what for, 3 "1" to begin although tasks run
-- Result: { 1 if the deletion has begun, number of running tasks, number of groups that are being aggregated }
-- A deletion that was broken off is taken over: each step of it checks the id.
--! include clock
local function count(command, key)
  local number = redis.pcall(command, key)
  return type(number) == 'number' and number or 0 -- a key that another program has written is deleted as well
end
local running, aggregated = count('LLEN', KEYS[3]), count('ZCARD', KEYS[4])
redis.call('HLEN', KEYS[2]) -- fails on a key of the wrong type, before the first write
if ARGV[3] ~= '1' and running + aggregated > 0 then
  return { 0, running, aggregated }
end
local at = string.format('%.6f', now)
redis.call('SET', KEYS[1], string.format('%d', now), 'NX')
redis.call('HDEL', KEYS[2], 'producers_with')
redis.call('HSET', KEYS[2], 'workers', ARGV[2], 'workers_at', at, 'workers_with', redis.call('GET', KEYS[1]),
  'producers', ARGV[2], 'producers_at', at, 'producers_id', ARGV[1])
return { 1, running, aggregated }
