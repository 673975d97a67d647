-- Puts one server on a list of all servers, or takes it off.
--
-- KEYS  1 the list: sorted set of record keys by the Unix second they expire
-- ARGV  1 key of the server's record, 2 seconds to live (0 = take it off)
-- Go drops expired members when somebody reads the list. Here those who write it do, so that a reader need not
-- write and a list that nobody reads does not grow.
local now = tonumber(redis.call('TIME')[1])
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
end
local gone = redis.call('ZRANGE', KEYS[1], '-inf', now - 1, 'BYSCORE', 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
end
