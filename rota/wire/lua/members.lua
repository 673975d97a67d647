-- Reads a page of an aggregation set, oldest first.
--
-- KEYS  1 the set
-- ARGV  1 task key prefix, 2 first rank, 3 how many
-- Result: { id, message or "", id, message or "", ... }
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1)) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', ARGV[1] .. id, 'msg') or ''
end
return found
