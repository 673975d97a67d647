-- Deletes tasks of a set whose aggregation is over, and counts them as processed.
--
-- KEYS  1 the set, 2 sets that are over (only in Rota)
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 most tasks to delete, at most 1000
-- Result: number of tasks removed from the set; if it is less than the limit, the set is empty
-- Asynq deletes all tasks in one call, keeps their locks, and does not count them (trap 48 in
-- docs/asynq-differences.md).
--! include hash
--! include count
--! include minute
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
count_without_runs(base, deleted, 0)
return #popped / 2
