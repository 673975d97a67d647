-- One page of the servers that live. Reads only.
--
-- KEYS  1 list of servers
-- ARGV  1 start, 2 how many
-- Result: { key of a server's record, ... }
return redis.call('ZRANGE', KEYS[1], redis.call('TIME')[1], '+inf', 'BYSCORE', 'LIMIT', ARGV[1], ARGV[2])
