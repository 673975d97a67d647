-- Answers orders that were carried out, removes them from the inbox, and returns the oldest ones of the others.
--
-- KEYS  1 inbox, then for each order that was carried out the key of its answer (all only in Rota)
-- ARGV  1 number of orders to return, 2 ms for which answers are kept, then for each of these orders two:
--       the order, its answer
redis.call('LLEN', KEYS[1]) -- fails on a key of the wrong type, before the first write
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[2 * i], 'PX', ARGV[2])
  redis.call('LREM', KEYS[1], 0, ARGV[2 * i - 1])
end
return redis.call('LRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)
