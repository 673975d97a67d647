-- Counts the tasks that a search will read from some lists and sorted sets of one queue. Reads only.
--
-- KEYS  lists and sorted sets
-- ARGV  for each key the lowest and the highest score (as in ZCOUNT), which do not count for a list
-- Result: { Redis time in seconds (text), size of each key, or -1 of a key of another type }
--! include clock
local reply = { string.format('%.6f', now) }
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local size = -1
  if kind == 'list' then
    size = redis.call('LLEN', key)
  elseif kind == 'zset' then
    size = redis.call('ZCOUNT', key, ARGV[2 * i - 1], ARGV[2 * i])
  elseif kind == 'none' then
    size = 0
  end
  reply[i + 1] = size
end
return reply
