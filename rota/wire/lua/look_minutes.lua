-- Reads the counts of outcomes of one queue: the total ones, or those of some minutes, the latest first. Reads only.
--
-- KEYS  1 total counts (only in Rota), 2 processed, 3 failed
-- ARGV  1 prefix of the keys of minutes, 2 the latest minute to read ("" = the present one), 3 how many minutes to read
--       (0: read the total), 4 most fields to read (one hash is always read)
-- Result: { Redis time in seconds (text), { name, value, ... } for each hash }; fewer than wanted if they are large. For
--   the total, the counters of Asynq follow, which also have what other programs have processed.
--! include clock
if ARGV[3] == '0' then
  return { string.format('%.6f', now), redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) }
end
local latest = ARGV[2] == '' and math.floor(now / 60) or tonumber(ARGV[2])
local found, room = { string.format('%.6f', now) }, tonumber(ARGV[4])
for back = 0, tonumber(ARGV[3]) - 1 do
  local key = ARGV[1] .. string.format('%.0f', latest - back)
  room = room - redis.call('HLEN', key)
  if room < 0 and back > 0 then break end
  found[#found + 1] = redis.call('HGETALL', key)
end
return found
