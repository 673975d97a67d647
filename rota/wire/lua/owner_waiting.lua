-- Counts the tasks of one queue that another worker could take at once. Reads only.
--
-- KEYS  1 pending, 2 paused
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
return redis.call('LLEN', KEYS[1])
