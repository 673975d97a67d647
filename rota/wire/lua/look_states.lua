-- Returns the states of some tasks of one queue. Reads only.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, then the IDs
-- Result: { Redis time in seconds (text), then for each task { state, lease, why it was archived, 1 if it was attempted } }
--         (false for what does not exist)
--! include clock
local reply = { string.format('%.6f', now) }
for i = 2, #ARGV do
  local row = redis.call('HMGET', ARGV[1] .. ARGV[i], 'state', 'rota_end')
  local lease = row[1] == 'active' and redis.call('ZSCORE', KEYS[1], ARGV[i])
  reply[i] = { row[1], lease, row[2], redis.call('HEXISTS', ARGV[1] .. ARGV[i], 'rota_attempts') }
end
return reply
