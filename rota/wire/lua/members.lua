-- Reads a page of an aggregation set, oldest tasks first.
--
-- KEYS  1 the set
-- ARGV  1 task key prefix, 2 first rank, 3 most tasks, 4 most bytes of messages (one task is always read)
-- Result: { 1 if there may be more, id, message or "", id, message or "", ... }
local most, most_bytes, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), 0
local ids = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + most - 1)
local found = { #ids == most and 1 or 0 }
for _, id in ipairs(ids) do
  local message = redis.call('HGET', ARGV[1] .. id, 'msg') or ''
  if bytes > 0 and bytes + #message > most_bytes then
    found[1] = 1
    break
  end
  bytes = bytes + #message
  found[#found + 1] = id
  found[#found + 1] = message
end
return found
