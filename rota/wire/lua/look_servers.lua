-- Returns one page of the list of servers, the one with the latest heartbeat first. Reads only.
--
-- KEYS  1 list of servers
-- ARGV  1 start, 2 number
-- Result: { key of a server's record, ... }
-- A server is live if its record exists. Its score in the list does not tell, because it is a time of Go's clock, or of
-- the server that was master before.
-- A heartbeat between two pages moves a server to the start. So it may be returned twice, but no other one is skipped.
return redis.call('ZRANGE', KEYS[1], '+inf', '-inf', 'BYSCORE', 'REV', 'LIMIT', ARGV[1], ARGV[2])
