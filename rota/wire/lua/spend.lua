-- Deletes tasks of a set whose aggregation is over. They count as processed.
--
-- KEYS  1 the set, 2 sets that are over (our own)
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 most tasks to delete, at most 1000
-- Result: tasks deleted; the set is gone when that is less than the limit
-- Asynq deletes them all in one call, leaves their locks, and counts them nowhere (trap 48).
--! include hash
--! include count
--! include end
local base, prefix = ARGV[1], ARGV[2]
local queue = { base = base, channel = ARGV[3] }
if redis.call('SISMEMBER', KEYS[2], KEYS[1]) == 0 then
  return 0
end
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[4])
local deleted = 0
for i = 1, #popped, 2 do
  local id, key = popped[i], prefix .. popped[i]
  local row = hash(key, 'unique_key', 'msg', 'rota_wait')
  local task = { id = id, key = key, unique_key = row[1], msg = row[2], waited = row[3] }
  deleted = deleted + delete_task(queue, task, 'completed', '')
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SREM', KEYS[2], KEYS[1])
end
count(base, deleted, 0)
return #popped / 2
