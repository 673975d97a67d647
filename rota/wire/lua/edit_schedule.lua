-- Adds an order about a schedule to the inbox of the scheduler that leads.
--
-- KEYS  1 inbox, 2 lease of the leader (both only in Rota)
-- ARGV  1 order, 2 number of orders that may wait
-- Result: 1 if a scheduler leads, 0 if none does now, -1 if too many orders wait: then nothing was added
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return -1
end
redis.call('RPUSH', KEYS[1], ARGV[1])
return redis.call('EXISTS', KEYS[2])
