-- Adds an order about a schedule to the inbox of the scheduler that leads.
--
-- KEYS  1 inbox, 2 lease of the leader (both only in Rota)
-- ARGV  1 order, 2 number of orders that may wait
-- Result: 1, or 0 if no scheduler leads, or -1 if too many orders wait: then nothing was added
-- An order that is sent again because its reply was lost may stand twice in the inbox. The leader knows it by its ID.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return -1
end
redis.call('RPUSH', KEYS[1], ARGV[1])
return 1
