-- Reads the oldest run records of one shard, and first removes those that are in the store.
--
-- KEYS  1 fence of the shard, 2 outbox (both only in Rota)
-- ARGV  1 epoch, 2 number of the oldest records to remove, 3 number to read
-- Result: { records }, or 0 if another leader has taken the shard
local mark = redis.call('GET', KEYS[1])
if not mark or string.match(mark, '^%d+') ~= ARGV[1] then
  return 0
end
if ARGV[2] ~= '0' then
  redis.call('LTRIM', KEYS[2], ARGV[2], -1)
end
return redis.call('LRANGE', KEYS[2], 0, tonumber(ARGV[3]) - 1)
