-- Puts the tasks of aggregation sets that are past their deadline back into their groups.
--
-- KEYS  1 aggregation_sets, 2 groups, 3 counters of repairs (only in Rota)
-- ARGV  1 key base, 2 most tasks to move, at most 1000
-- Result: { tasks moved, sets emptied, 1 if there is more to do }
-- The name of the group is added to `groups` again. Asynq does not do so, and then no aggregator looks at the group
-- (trap 43 in docs/asynq-differences.md). A set that takes several calls stays in aggregation_sets until it is empty;
-- its aggregator, if it is still alive, sees by the deadline that the set was given up.
--! include clock
local base, room = ARGV[1], tonumber(ARGV[2])
local moved, emptied = 0, 0
redis.call('HLEN', KEYS[3]) -- reads that fail on a key of the wrong type, before the first write
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
