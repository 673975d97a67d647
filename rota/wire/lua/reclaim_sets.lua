-- Puts tasks of aggregations that died back into their groups.
--
-- KEYS  1 aggregation_sets, 2 groups, 3 counters of repairs (our own)
-- ARGV  1 key base, 2 most tasks to move, at most 1000
-- Result: { tasks moved, sets emptied, 1 if there is more to do }
-- The group's name joins `groups` again: Asynq leaves that out, and nobody looks at the group then (trap 43). A set that
-- is emptied in several calls stays listed until the last; whoever aggregates it sees that it is past its deadline.
--! include clock
local base, room = ARGV[1], tonumber(ARGV[2])
local moved, emptied = 0, 0
redis.call('HLEN', KEYS[3]) -- asked for their errors, before the first write
redis.call('SCARD', KEYS[2])
local stale = redis.call('ZRANGE', KEYS[1], '-inf', math.floor(now), 'BYSCORE', 'LIMIT', 0, 100)
for _, set in ipairs(stale) do
  local group = string.match(set, '^(.*):[^:]*$')
  local members = redis.call('ZRANGE', set, 0, room - moved - 1, 'WITHSCORES')
  local back, ids = {}, {}
  for i = 1, #members, 2 do
    ids[#ids + 1] = members[i]
    back[#back + 1] = members[i + 1]
    back[#back + 1] = members[i]
  end
  if #ids > 0 then
    redis.call('ZADD', group, unpack(back))
    redis.call('ZREM', set, unpack(ids))
    redis.call('SADD', KEYS[2], string.sub(group, #base + 3))
    moved = moved + #ids
  end
  if redis.call('EXISTS', set) == 1 then
    break
  end
  redis.call('ZREM', KEYS[1], set)
  emptied = emptied + 1
  if moved >= room then
    break
  end
end
if emptied > 0 then
  redis.call('HINCRBY', KEYS[3], 'stale_set', emptied)
end
return { moved, emptied, emptied < #stale and 1 or 0 }
