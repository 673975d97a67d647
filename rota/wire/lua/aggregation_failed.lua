-- Counts a failed aggregation. The tasks of the set return to the group at its deadline, which is moved for that.
--
-- KEYS  1 aggregation_sets, 2 failures by group (only in Rota)
-- ARGV  1 key of the set, 2 name of the group, 3 most failures in a row,
--       4 seconds until the tasks return, for each failure in a row
-- Result: failures in a row, including this one. At the maximum the counter is reset, and the caller archives the
--         tasks. 0 if the set is over or was put back: then the aggregator exceeded its deadline, and nothing is
--         counted.
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
