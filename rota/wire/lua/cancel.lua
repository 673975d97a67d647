-- Archives a waiting task as cancelled, or asks the worker that runs it to cancel it. Does not count as a failure.
-- KEYS  1 hash of the task, 2 archived
-- ARGV  1 prefix of the queue's keys, 2 id, 3 reason, 4 error text, 5 prefix of the channels on which ends are
--       announced
-- Result: false if the task does not exist, else { reply, state, id }: done (archived now), asked (a worker runs it),
--         ended (it had ended before), state (it is being aggregated)
--! include end
--! include leave
--! include with_error
local key, base, id = KEYS[1], ARGV[1], ARGV[2]
local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'msg', 'rota_wait')
local state = row[1]
if not state then
  return false
end
if state == 'archived' or state == 'completed' then
  return { 'ended', state, id }
end
if state == 'active' then
  redis.call('HSETNX', key, 'rota_cancel', ARGV[3]) -- keeps the reason of an earlier request
  return { 'asked', state, id }
end
redis.call('ZCARD', KEYS[2]) -- fails on a key of the wrong type, before the first write
if not leave(base, id, state, row[2] or '') then
  return { 'state', state, id }
end
local task = { id = id, key = key, msg = row[4] or '', unique_key = row[3], waited = row[5] }
archive_task({ base = base, channel = ARGV[5], archived = KEYS[2] }, task, 'cancelled', ARGV[4], with_error(task.msg, ARGV[4]))
return { 'done', state, id }
