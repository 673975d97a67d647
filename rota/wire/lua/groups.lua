-- Looks at some groups of one queue: their sizes, ages and task types. Also removes empty groups from `groups`.
--
-- KEYS  1 groups, 2 sets that are over but not deleted yet (only in Rota), then the keys of groups to look at
-- ARGV  1 key base, 2 task key prefix, 3 cursor ("0" to begin), 4 approximate number of groups, then names of groups
-- If names are given, only these groups are looked at. Otherwise it is a page of all groups. Empty groups are left out.
-- The key of a named group that is not in `groups` is not read: a server with `CLIENT TRACKING` would remember a key that
-- may never be written again. (Redis 6 remembers the declared keys in any case.)
-- Result: { Redis time in seconds (text), next cursor ("0" at the end), one of the sets of key 2 or "",
--           { group, size, oldest score, newest score, { types of its oldest tasks } }, ... }
-- The name of an empty group is removed from `groups`. Asynq keeps it, so that every server looks at it for ever.
--! include clock
--! include field
local cursor, names = '0', {}
for i = 5, #ARGV do
  if redis.call('SISMEMBER', KEYS[1], ARGV[i]) == 1 then
    names[#names + 1] = ARGV[i]
  end
end
if #ARGV < 5 then
  local page = redis.call('SSCAN', KEYS[1], ARGV[3], 'COUNT', ARGV[4])
  cursor, names = page[1], page[2]
end
local found = { string.format('%.6f', now), cursor, redis.call('SRANDMEMBER', KEYS[2]) or '' }
for _, group in ipairs(names) do
  local key = ARGV[1] .. 'g:' .. group
  local size = redis.call('ZCARD', key)
  if size == 0 then
    redis.call('SREM', KEYS[1], group)
  else
    local types = {}
    for _, id in ipairs(redis.call('ZRANGE', key, 0, 4)) do
      types[#types + 1] = field(redis.call('HGET', ARGV[2] .. id, 'msg') or '', 1) or ''
    end
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    local newest = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    found[#found + 1] = { group, size, oldest[2], newest[2], types }
  end
end
return found
