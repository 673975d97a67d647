-- Gives an order to one server of Rota, which reads it with its next heartbeat.
--
-- KEYS  1 server record, 2 hash of orders to this server
-- ARGV  1 id, 2 order, 3 seconds after which the order expires
-- Result: 1, 0 if there is no such server (any more), or -1 if too many orders wait
-- A worker that starts again is another server, so it does not see the orders to the one before.
--! include clock
local MOST_WAITING, KEPT_SECONDS = 100, 60
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if redis.call('HLEN', KEYS[2]) >= MOST_WAITING then
  return -1
end
local life = tonumber(ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%d %s', math.floor(now) + life, ARGV[2]))
redis.call('EXPIRE', KEYS[2], life + KEPT_SECONDS)
return 1
