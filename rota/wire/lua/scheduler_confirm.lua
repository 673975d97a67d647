-- Ends the claims of a batch whose tasks are enqueued, and notes its runs for the recorder.
--
-- KEYS  1 fence of the shard, 2 claims, 3 outbox (all only in Rota)
-- ARGV  1 epoch, 2 number of runs, then their IDs, then run records for the outbox
-- Result: 1, or 0 if another leader has taken the shard, which then finishes the claims itself
local mark = redis.call('GET', KEYS[1])
if not mark or string.match(mark, '^%d+') ~= ARGV[1] then
  return 0
end
redis.call('LLEN', KEYS[3])
local runs = tonumber(ARGV[2])
for i = 3, 2 + runs do
  redis.call('HDEL', KEYS[2], ARGV[i])
end
for i = 3 + runs, #ARGV do
  redis.call('RPUSH', KEYS[3], ARGV[i])
end
return 1
