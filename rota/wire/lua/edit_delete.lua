-- Deletes a task that does not run, and gives its lock back.
-- KEYS  1 hash of the task
-- ARGV  1 prefix of the queue's keys, 2 id
-- Result: false if the task is gone, else { reply, state, id }: done, state (it runs, or is being aggregated)
--! include end
--! include leave
local row = redis.call('HMGET', KEYS[1], 'state', 'group', 'unique_key', 'msg')
local state, id = row[1], ARGV[2]
if not state then
  return false
end
-- A hash that Asynq's archive trim left behind is in no set any more. It can go all the same.
if state == 'active' or not leave(ARGV[1], id, state, row[2] or '') and state == 'aggregating' then
  return { 'state', state, id }
end
delete_task({ base = ARGV[1] }, { id = id, key = KEYS[1], unique_key = row[3], msg = row[4] })
return { 'done', state, id }
