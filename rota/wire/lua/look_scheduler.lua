-- Returns which scheduler leads. Reads only.
--
-- KEYS  1 lease, 2 inbox (both only in Rota)
-- Result: { ID of the leader (false if none leads), number of orders that wait }
return { redis.call('GET', KEYS[1]), redis.call('LLEN', KEYS[2]) }
