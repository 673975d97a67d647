-- Returns one page of the live servers. Reads only.
--
-- KEYS  1 list of servers
-- ARGV  1 start, 2 number
-- Result: { key of a server's record, ... }
return redis.call('ZRANGE', KEYS[1], redis.call('TIME')[1], '+inf', 'BYSCORE', 'LIMIT', ARGV[1], ARGV[2])
