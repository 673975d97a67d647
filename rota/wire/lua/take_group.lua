-- Moves tasks of one group into a set for one aggregation, if the group is due.
--
-- KEYS  1 group, 2 the new set, 3 aggregation_sets, 4 groups
-- ARGV  1 name of the group, 2 most tasks of a set, 3 size at which the group is due at once ("" = none),
--       4 longest wait of the oldest task in seconds ("" = no limit), 5 seconds since the newest task after which the
--       group is due, 6 seconds until the deadline of the aggregation
-- Result: number of tasks moved, 0 if the group is not due
-- The tasks are moved by RENAME or ZRANGESTORE, so a large group takes little more time than a small one.
--! include clock
local most, full, delay = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local size = redis.call('ZCARD', KEYS[1])
if size == 0 then
  return 0
end
local oldest = tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
local newest = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
local due = full and size >= full or delay and oldest + delay <= now or newest + tonumber(ARGV[5]) <= now
if not due then
  return 0
end
redis.call('ZCARD', KEYS[3]) -- reads that fail on a key of the wrong type, before the first write
redis.call('SCARD', KEYS[4])
local room = full and math.min(full, most) or most
if size <= room then
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('SREM', KEYS[4], ARGV[1])
else
  redis.call('ZRANGESTORE', KEYS[2], KEYS[1], 0, room - 1)
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, room - 1)
end
redis.call('ZADD', KEYS[3], math.ceil(now) + tonumber(ARGV[6]), KEYS[2])
return math.min(size, room)
