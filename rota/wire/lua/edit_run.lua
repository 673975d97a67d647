-- Makes a task pending that is waiting or has ended.
-- KEYS  1 hash of the task, 2 pending
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 id
-- Result: false if the task does not exist, else { reply, state, id }: done, same (it was pending),
--         state (it is running or being aggregated), locked (by the task `id`)
-- A task that had ended gets all its retries again. In Asynq it keeps its count, so its next failure archives it again.
--! include clock
--! include holder
--! include leave
local key, base, prefix, id = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'rota_unique', 'msg')
local state = row[1]
if not state then
  return false
end
if state == 'pending' then
  return { 'same', state, id }
end
if state == 'active' then
  return { 'state', state, id }
end
redis.call('LLEN', KEYS[2]) -- fails on a key of the wrong type, before the first write
local scoped = row[3] and row[4]
if scoped then
  local other, other_state = holder(row[3], prefix)
  if other and other ~= id then
    return { 'locked', other_state, other }
  end
end
if not leave(base, id, state, row[2] or '') then
  return { 'state', state, id }
end
if scoped and redis.call('GET', row[3]) ~= id then
  redis.call('SET', row[3], id)
end
if state == 'archived' or state == 'completed' then
  -- If a protobuf field occurs twice, the last one counts. So `retried` (6) and `completed_at` (13) become 0.
  redis.call('HSET', key, 'msg', (row[5] or '') .. '\48\0' .. '\104\0')
  redis.call('HDEL', key, 'result', 'rota_cancel', 'rota_end', 'rota_crashes', 'rota_progress', 'rota_log')
end
-- Without this, the task would go back to its group at its first retry.
redis.call('HDEL', key, 'group')
redis.call('LPUSH', KEYS[2], id)
redis.call('HSET', key, 'state', 'pending', 'pending_since', now_ns)
return { 'done', state, id }
