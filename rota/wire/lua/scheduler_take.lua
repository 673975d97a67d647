-- Takes one shard for a leader, so that batches with older numbers are refused, and reads its unfinished claims.
--
-- KEYS  1 fence of the shard, 2 claims (both only in Rota)
-- ARGV  1 epoch, 2 batch
-- Result: { 1, { ID of a run, its claim, ... } }, or { 0, mark } if the shard has a newer mark, '<epoch> <batch>'
-- The states of schedules are read by `scheduler_states`, because there may be a million of them.
--! include scheduler_fence
local mark = redis.call('GET', KEYS[1])
local epoch, batch = tonumber(ARGV[1]), tonumber(ARGV[2])
if not is_newer(mark, epoch, batch) then
  return { 0, mark }
end
local claims = redis.call('HGETALL', KEYS[2])
redis.call('SET', KEYS[1], mark_of(epoch, batch))
return { 1, claims }
