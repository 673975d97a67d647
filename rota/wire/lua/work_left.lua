-- Counts the tasks of one queue that can run now or are running, and the tasks that wait for a later time. Reads only.
--
-- KEYS  1 pending, 2 active, 3 paused, 4 scheduled, 5 retry
-- Result: { now, later }. All due tasks of one set count as one. In a paused queue only active tasks count as `now`.
--! include clock
local pending, due, later = redis.call('LLEN', KEYS[1]), 0, 0
for i = 4, 5 do
  local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= now then
    due = due + 1
  end
  later = later + redis.call('ZCARD', KEYS[i])
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  later, pending, due = later + pending, 0, 0
end
return { pending + due + redis.call('LLEN', KEYS[2]), later - due }
