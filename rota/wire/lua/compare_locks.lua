-- Finds uniqueness locks of one queue that no task holds. Reads only.
--
-- KEYS  the locks (at most 500)
-- ARGV  1 task key prefix
-- Result: { index of lock (from 0), id, ... } of the locks that were left behind
--! include left_behind
local found = {}
for i, lock in ipairs(KEYS) do
  local id = redis.call('GET', lock)
  if id and left_behind(lock, id, ARGV[1]) then
    found[#found + 1] = i - 1
    found[#found + 1] = id
  end
end
return found
