-- Counters of some days. Reads only.
--
-- KEYS  any number of counters
-- Result: { seconds, { values } }
return { redis.call('TIME')[1], redis.call('MGET', unpack(KEYS)) }
