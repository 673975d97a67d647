-- Reads the counters of some days.
--
-- KEYS  any number of counters
-- Result: { seconds, { values } }
return { redis.call('TIME')[1], redis.call('MGET', unpack(KEYS)) }
