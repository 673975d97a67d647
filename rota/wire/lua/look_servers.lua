-- Returns one page of the live servers, the one with the latest heartbeat first. Reads only.
--
-- KEYS  1 list of servers
-- ARGV  1 start, 2 number
-- Result: { key of a server's record, ... }
-- A heartbeat between two pages moves a server to the start. So it may be returned twice, but no other one is skipped.
local now = redis.call('TIME')[1]
return redis.call('ZRANGE', KEYS[1], '+inf', now, 'BYSCORE', 'REV', 'LIMIT', ARGV[1], ARGV[2])
