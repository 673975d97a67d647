-- Notes that an aggregation failed. The set waits for its deadline; then its tasks go back to the group.
--
-- KEYS  1 aggregation_sets, 2 failures by group (our own)
-- ARGV  1 full name of the set, 2 name of the group, 3 failures in a row that end it, 4 seconds until the next try
-- Result: failures in a row, this one included. At the last one counting starts anew, and the caller archives the tasks.
--         0 where the set is over or was put back meanwhile: who was frozen that long counts nothing.
--! include clock
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
local failures = redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
if failures < tonumber(ARGV[3]) then
  redis.call('ZADD', KEYS[1], 'XX', math.ceil(now) + ARGV[4] * failures, ARGV[1])
else
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return failures
