-- Removes orders that were carried out from the inbox, and returns the oldest ones of the others.
--
-- KEYS  1 inbox (only in Rota)
-- ARGV  1 number of orders to return, then the orders to remove
for i = 2, #ARGV do
  redis.call('LREM', KEYS[1], 1, ARGV[i])
end
return redis.call('LRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)
