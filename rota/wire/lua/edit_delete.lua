-- Deletes a task that is not running, and releases its lock.
-- KEYS  1 hash of the task
-- ARGV  1 prefix of the queue's keys, 2 id
-- Result: false if the task does not exist, else { reply, state, id }: done, state (it is running or being aggregated)
--! include end
--! include leave
local row = redis.call('HMGET', KEYS[1], 'state', 'group', 'unique_key', 'msg')
local state, id = row[1], ARGV[2]
if not state then
  return false
end
-- Asynq's trimming of the archive leaves hashes behind that are not in any set. Such a hash is deleted too.
if state == 'active' or not leave(ARGV[1], id, state, row[2] or '') and state == 'aggregating' then
  return { 'state', state, id }
end
delete_task({ base = ARGV[1] }, { id = id, key = KEYS[1], unique_key = row[3], msg = row[4] })
return { 'done', state, id }
