-- Counts the tasks that a queue still has to run.
--
-- KEYS  1 pending, 2 active, 3 scheduled, 4 retry, 5 groups, 6 aggregation_sets, 7 paused
-- Result: { Redis time in seconds (text), pending, active, scheduled, retry, groups, groups that are being aggregated,
--           1 if workers are paused, time at which the last scheduled or retried task is due (text) or "" }
--! include clock
local last = ''
for i = 3, 4 do
  local found = redis.call('ZRANGE', KEYS[i], -1, -1, 'WITHSCORES')
  if found[2] and (last == '' or tonumber(found[2]) > tonumber(last)) then
    last = found[2]
  end
end
return {
  string.format('%.6f', now), redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  redis.call('ZCARD', KEYS[4]), redis.call('SCARD', KEYS[5]), redis.call('ZCARD', KEYS[6]),
  redis.call('EXISTS', KEYS[7]), last,
}
