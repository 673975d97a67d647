-- Finds uniqueness locks of one queue that no task holds, and deletes those that were found by an earlier call.
--
-- KEYS  1 counters of repairs (only in Rota), then the locks (at most 500)
-- ARGV  1 task key prefix, then for each lock the id in it when it was found before ("" = only look)
-- Result: { index of lock (from 0), id, ... } of the locks that were found or deleted
-- When a lock is left behind (`holder` returns nil):
--   - its task exists: the task has left the lock's scope or does not name the lock
--   - its task does not exist, and the lock is for a key that the caller chose (64 hex digits) or does not expire
-- A lock of Asynq, which expires, is kept after its task is gone until it expires, because Go clients expect that.
--! include holder
local function left_behind(lock, id)
  if holder(lock, ARGV[1]) then
    return false
  elseif redis.call('EXISTS', ARGV[1] .. id) == 1 then
    return true
  end
  local digest = string.match(lock, ':(%x+)$')
  return digest and #digest == 64 or redis.call('PTTL', lock) == -1
end

local found, deleted = {}, 0
redis.call('HLEN', KEYS[1])
for i = 2, #KEYS do
  local id, expected = redis.call('GET', KEYS[i]), ARGV[i]
  if id and (expected == '' or expected == id) and left_behind(KEYS[i], id) then
    if expected ~= '' then
      deleted = deleted + redis.call('DEL', KEYS[i])
    end
    found[#found + 1] = i - 2
    found[#found + 1] = id
  end
end
if deleted > 0 then
  redis.call('HINCRBY', KEYS[1], 'lock', deleted)
end
return found
