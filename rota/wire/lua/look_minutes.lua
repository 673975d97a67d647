-- Reads the counts of outcomes of one queue: the total ones, or those of some minutes, the latest first. Reads only.
--
-- KEYS  1 total counts, 2 open minute (both only in Rota, see `minute`), 3 processed, 4 failed
-- ARGV  1 prefix of the keys of minutes, 2 the latest minute to read ("" = the present one), 3 how many minutes to read
--       (0: read the total), 4 most fields to read (one hash is always read)
-- Result: { Redis time in seconds (text), { name, value, ... } for each hash }; fewer than wanted if they are large. For
--   the total, these follow: the open minute, the minute that is being added to the total, and the counters of Asynq,
--   which also have what other programs have processed.
--! include clock
-- `minute` is not included, because an inspector has no right for the commands that it calls.
local open, folding = string.match(redis.call('HGET', KEYS[2], 'minute') or '', '^(%d+) ?(%d*)')
if ARGV[3] == '0' then
  return { string.format('%.6f', now), redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]),
    (folding or '') ~= '' and redis.call('HGETALL', ARGV[1] .. folding) or {}, redis.call('GET', KEYS[3]),
    redis.call('GET', KEYS[4]) }
end
local latest = ARGV[2] == '' and math.floor(now / 60) or tonumber(ARGV[2])
local found, room = { string.format('%.6f', now) }, tonumber(ARGV[4])
for back = 0, tonumber(ARGV[3]) - 1 do
  local number = string.format('%.0f', latest - back)
  local key = number == open and KEYS[2] or ARGV[1] .. number
  room = room - redis.call('HLEN', key)
  if room < 0 and back > 0 then break end
  found[#found + 1] = redis.call('HGETALL', key)
end
return found
