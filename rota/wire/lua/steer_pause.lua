-- Pauses a queue for its workers, its producers or both, or refuses its producers for a drain.
--
-- KEYS  1 paused, 2 record of the pause (only in Rota)
-- ARGV  1 for whom: workers, producers or both, 2 JSON with who, why and what for
-- Result: as for `look_pause` after the change; false if the queue is being deleted, and nothing was changed
-- Workers of Asynq and Rota obey `paused`, which keeps its time if the queue is paused already. A later pause for the
-- same ones replaces who and why. A pause for both names the value of `paused`, so that it ends for both when a Go
-- program deletes that key.
--! include clock
--! include pause_row
--! include lapsed
local row = redis.call('HMGET', KEYS[2], 'producers', 'workers')
if row[1] and string.find(row[1], '"kind": "delete"', 1, true) then
  return false
end
redis.call('GET', KEYS[1]) -- fails on a key of the wrong type, before the first write
forget_lapsed(KEYS[1], KEYS[2])
local at = string.format('%.6f', now)
if ARGV[1] ~= 'producers' then
  redis.call('SET', KEYS[1], string.format('%d', now), 'NX')
  redis.call('HSET', KEYS[2], 'workers', ARGV[2], 'workers_at', at, 'workers_with', redis.call('GET', KEYS[1]))
end
if ARGV[1] ~= 'workers' then
  redis.call('HDEL', KEYS[2], 'producers_with')
  redis.call('HSET', KEYS[2], 'producers', ARGV[2], 'producers_at', at)
  if ARGV[1] == 'both' then
    redis.call('HSET', KEYS[2], 'producers_with', redis.call('GET', KEYS[1]))
  end
end
return pause_row(KEYS[1], KEYS[2])
