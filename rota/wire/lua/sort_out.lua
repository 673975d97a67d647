-- Removes tasks from an aggregation set that cannot be aggregated, or not by this aggregator.
--
-- KEYS  1 the set, 2 its group, 3 groups, 4 archived
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 name of the group,
--       then for each task four (at most 500 tasks): id, kind, new message ("" = keep), text
-- Kinds: back (to the group, with its old score), archive (as a failure), drop (its hash is gone)
-- Result: number of removed tasks. A task that is not in the set is not changed, because the set was given up
--         meanwhile.
--! include count
--! include minute
--! include end
local base, prefix = ARGV[1], ARGV[2]
local queue = { base = base, channel = ARGV[3], archived = KEYS[4] }
local taken, failed = 0, 0
-- Reads that fail on a key of the wrong type, before the first write.
redis.call('ZCARD', KEYS[2])
redis.call('SCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
for i = 5, #ARGV, 4 do
  local id, kind, key = ARGV[i], ARGV[i + 1], prefix .. ARGV[i]
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score then
    taken = taken + 1
    if kind == 'back' then
      redis.call('ZADD', KEYS[2], score, id)
      redis.call('SADD', KEYS[3], ARGV[4])
    elseif kind == 'archive' then
      local row = redis.call('HMGET', key, 'rota_wait', 'rota_unique', 'unique_key', 'msg')
      local task = { id = id, key = key, waited = row[1], scoped = row[2], unique_key = row[3], msg = row[4] }
      archive_task(queue, task, '', ARGV[i + 3], ARGV[i + 2] ~= '' and ARGV[i + 2] or nil)
      failed = failed + 1
    end
    redis.call('ZREM', KEYS[1], id)
  end
end
count(base, failed, failed)
count_without_runs(base, failed, failed)
return taken
