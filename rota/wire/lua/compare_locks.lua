-- Finds uniqueness locks of one queue that no task holds. Reads only. A lock whose key, or whose task's key, has the
-- wrong type is passed by.
--
-- KEYS  the locks (at most 500)
-- ARGV  1 task key prefix
-- Result: { index of lock (from 0), id, ... } of the locks that were left behind
--! include left_behind
local function stray(lock)
  local id = redis.call('GET', lock)
  return id and left_behind(lock, id, ARGV[1]) and id
end

local found = {}
for i, lock in ipairs(KEYS) do
  local done, id = pcall(stray, lock)
  if done and id then
    found[#found + 1] = i - 1
    found[#found + 1] = id
  elseif not done and not string.find(type(id) == 'table' and id.err or tostring(id), 'WRONGTYPE', 1, true) then
    return redis.error_reply(type(id) == 'table' and id.err or tostring(id))
  end
end
return found
