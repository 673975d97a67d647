-- Elects the worker that sweeps some queues, extends its election, or ends it.
--
-- KEYS  1 the election (only in Rota)
-- ARGV  1 ID of the worker, 2 for how many ms from now it is elected (0 = end its election)
-- Result: 1 if this worker is elected now
--! include election
if ARGV[2] == '0' then
  if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
  end
  return 0
end
return is_elected(KEYS[1], ARGV[1], ARGV[2]) and 1 or 0
