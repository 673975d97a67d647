-- Replaces the message of a task that is not running, and moves its lock to the new payload.
-- KEYS  1 hash of the task
-- ARGV  1 prefix of the task hashes, 2 id, 3 message as it was read, 4 new message,
--       5 lock of the old message ("" for none), 6 lock of the new message, 7 prefix of the queue's keys
-- Result: false if the task does not exist, else { reply, state, id }: done, state (it is running, being aggregated, or
--         completed), aside (it is on its way to the queue `state`), changed (the message was changed meanwhile: read it
--         again), locked (by the task `id`)
--! include holder
--! include leave
--! include aside
local row = redis.call('HMGET', KEYS[1], 'state', 'msg', 'group', 'rota_aside')
local id, old_lock, new_lock = ARGV[2], ARGV[5], ARGV[6]
if not row[1] then
  return false
end
if row[1] == 'active' or row[1] == 'completed' or is_aggregated(ARGV[7], id, row[1], row[3] or '') then
  return { 'state', row[1], id }
end
local aside = aside_of(row[1], row[4], row[2])
if aside then
  return { 'aside', aside.to, id }
end
if row[2] ~= ARGV[3] then
  return { 'changed', row[1], id }
end
if old_lock ~= new_lock then
  -- If the lock has expired, or another task has taken it since, the task does not take a lock again.
  local life = redis.call('GET', old_lock) == id and redis.call('PTTL', old_lock)
  if life then
    local other, state = holder(new_lock, ARGV[1])
    if other and other ~= id then
      return { 'locked', state, other }
    end
    redis.call('DEL', old_lock)
    if life > 0 then
      redis.call('SET', new_lock, id, 'PX', life)
    else
      redis.call('SET', new_lock, id)
    end
  end
  redis.call('HSET', KEYS[1], 'unique_key', new_lock)
end
redis.call('HSET', KEYS[1], 'msg', ARGV[4])
return { 'done', row[1], id }
