-- Deletes uniqueness locks of one queue that `compare_locks` found, if they are still left behind with the same id.
--
-- KEYS  1 counters of repairs (only in Rota), then the locks (at most 500)
-- ARGV  1 task key prefix, then for each lock the id that it contained when it was found
-- Result: the number of locks that were deleted
--! include left_behind
redis.call('HLEN', KEYS[1]) -- fails on a key of the wrong type, before the first write
local deleted = 0
for i = 2, #KEYS do
  local id = redis.call('GET', KEYS[i])
  if id == ARGV[i] and left_behind(KEYS[i], id, ARGV[1]) then
    deleted = deleted + redis.call('DEL', KEYS[i])
  end
end
if deleted > 0 then
  redis.call('HINCRBY', KEYS[1], 'lock', deleted)
end
return deleted
