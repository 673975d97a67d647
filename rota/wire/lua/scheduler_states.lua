-- Reads the states of some schedules of one shard. Reads only.
--
-- KEYS  1 last planned times (only in Rota)
-- ARGV  IDs of schedules, at most 1000
-- Result: the state of each, '<last planned ms> <other state>', false for a schedule without a state
return redis.call('HMGET', KEYS[1], unpack(ARGV))
