-- Takes one shard for a leader, so that batches with older numbers are refused, and reads its state.
--
-- KEYS  1 fence of the shard, 2 last planned times, 3 claims (all only in Rota)
-- ARGV  1 epoch, 2 batch
-- Result: { 1, { ID of a schedule, its state, ... }, { ID of a run, its claim, ... } }, or
--         { 0, mark } if the shard has a newer mark, '<epoch> <batch>'
--! include scheduler_fence
local mark = redis.call('GET', KEYS[1])
local epoch, batch = tonumber(ARGV[1]), tonumber(ARGV[2])
if not is_newer(mark, epoch, batch) then
  return { 0, mark }
end
local states, claims = redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])
redis.call('SET', KEYS[1], mark_of(epoch, batch))
return { 1, states, claims }
