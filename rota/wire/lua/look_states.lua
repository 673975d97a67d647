-- Returns the states of some tasks of one queue. Reads only.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, then the IDs
-- Result: { Redis time in seconds (text), then for each task { state, lease } } (false for what does not exist)
--! include clock
local reply = { string.format('%.6f', now) }
for i = 2, #ARGV do
  local state = redis.call('HGET', ARGV[1] .. ARGV[i], 'state')
  reply[i] = { state, state == 'active' and redis.call('ZSCORE', KEYS[1], ARGV[i]) }
end
return reply
