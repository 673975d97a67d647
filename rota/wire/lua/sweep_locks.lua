-- Finds uniqueness locks of one queue that nobody holds, and deletes those that were found before.
--
-- KEYS  1 counters of repairs (our own), then the locks (at most 500)
-- ARGV  1 task key prefix, then for each lock the id that was found to hold it no more ("" = only look)
-- Result: { index of lock (from 0), id, ... } of those found, or deleted
-- A lock of Asynq's (it has a time to live) outlives its task until its time is over, as Go's clients expect; but one
-- whose task is there and does not name it was never held. One of our own scopes ends with its scope, one for a key that
-- the caller chose (64 hex digits) with its task.
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
