-- Moves due tasks of one queue from `scheduled` and `retry` to `pending` or to their group, even if it is paused.
--
-- KEYS  1 scheduled, 2 retry
-- ARGV  1 key base, 2 task key prefix, 3 most IDs to take from each, at most 1000
-- Result: { moved, dropped (IDs whose hash is gone), 1 if more may be due }
--! include promote
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
