-- Moves due tasks of one queue from `scheduled` and `retry` to `pending` or to their group. Also while it is paused.
-- KEYS[1] scheduled  KEYS[2] retry
-- ARGV[1] prefix of the queue's keys  ARGV[2] prefix of its task hashes  ARGV[3] most IDs to take from each, <= 1000
-- Result: {moved, dropped, 1 if there may be more due}
--! include promote
local time = redis.call('TIME')
local micros = string.format('%06d', time[2])
local now, now_ns = time[1] .. '.' .. micros, time[1] .. micros .. '000'
local limit = tonumber(ARGV[3])
local moved, dropped, more = 0, 0, 0
for _, source in ipairs(KEYS) do
  local went, gone = promote(source, ARGV[1], ARGV[2], now, now_ns, limit)
  moved, dropped = moved + went, dropped + gone
  if went + gone >= limit then
    more = 1
  end
end
return { moved, dropped, more }
