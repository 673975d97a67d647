-- Returns a page of the names of a queue's groups. Reads only.
--
-- KEYS  1 groups
-- ARGV  1 cursor ("0" to begin), 2 approximate number of names
-- Result: { next cursor ("0" at the end), name, name, ... }
local page = redis.call('SSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = { page[1] }
for i, name in ipairs(page[2]) do
  found[i + 1] = name
end
return found
