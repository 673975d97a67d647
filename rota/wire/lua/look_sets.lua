-- Returns one page of the sets under aggregation, in the order of their deadlines. Reads only.
--
-- KEYS  1 aggregation_sets
-- ARGV  1 start, 2 number
-- Result: { key of the set, deadline, size, ... }
local members = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1, 'WITHSCORES')
local found = {}
for i = 1, #members, 2 do
  found[#found + 1] = members[i]
  found[#found + 1] = members[i + 1]
  found[#found + 1] = redis.call('ZCARD', members[i])
end
return found
