-- Resumes a queue for its workers, its producers or both.
--
-- KEYS  1 paused, 2 record of the pause (only in Rota)
-- ARGV  1 for whom: workers, producers or both
-- Result: as for `look_pause` before the change
-- A queue that is being deleted is resumed too: the deletion notices it at its next step, and stops.
--! include pause_row
--! include lapsed
local row = pause_row(KEYS[1], KEYS[2])
forget_lapsed(KEYS[1], KEYS[2])
if ARGV[1] ~= 'producers' then
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[2], 'workers', 'workers_at', 'workers_with')
  -- The pause of the producers was bound to the key that is deleted now, but only the workers are resumed.
  redis.call('HDEL', KEYS[2], 'producers_with')
end
if ARGV[1] ~= 'workers' then
  redis.call('HDEL', KEYS[2], 'producers', 'producers_at', 'producers_with', 'producers_id')
end
return row
