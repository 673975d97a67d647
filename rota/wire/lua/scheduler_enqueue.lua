-- Adds the tasks of a batch of runs to one queue, if this batch was not added before.
--
-- KEYS  1 pending, 2 scheduled, 3 marks of the last batches by shard (only in Rota)
-- ARGV  as for `enqueue`, then three more: epoch, batch, shard
-- Result: as for `enqueue`, or {} if this batch, or a later one of the same shard, was added before
-- The batches of a shard reach a queue one after the other. So a mark of the last one is enough to refuse a repeated
-- request, also if the tasks that it added have ended and are deleted.
--! include scheduler_fence
local shard = table.remove(ARGV)
local batch = tonumber(table.remove(ARGV))
local epoch = tonumber(table.remove(ARGV))
if not is_newer(redis.call('HGET', KEYS[3], shard), epoch, batch) then
  return {}
end
local function add_all()
--! include enqueue
end
local added = add_all()
if not added.err then
  redis.call('HSET', KEYS[3], shard, mark_of(epoch, batch))
end
return added
