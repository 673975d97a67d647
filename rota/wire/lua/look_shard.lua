-- Returns the sizes of one shard of the scheduler. Reads only.
--
-- KEYS  1 last planned times, 2 claims, 3 outbox (all only in Rota)
-- Result: { number of schedules, of claimed runs, of run records that wait for the store }
return { redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[2]), redis.call('LLEN', KEYS[3]) }
