-- Ends a task that waits, or asks the worker that runs it to end it. Counts nowhere as a failure.
-- KEYS  1 hash of the task, 2 archived
-- ARGV  1 prefix of the queue's keys, 2 id, 3 reason, 4 error text, 5 channel on which the end is announced
-- Result: false if the task is gone, else { reply, state, id }: done (it is archived now), asked (a worker has it),
--         ended (it was over before), state (it is being aggregated)
--! include clock
--! include field
--! include unlock
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
  redis.call('HSETNX', key, 'rota_cancel', ARGV[3]) -- the first reason stands
  return { 'asked', state, id }
end
redis.call('ZCARD', KEYS[2]) -- asked for its error, before the first write
if not leave(base, id, state, row[2] or '') then
  return { 'state', state, id }
end
redis.call('HSET', key, 'msg', with_error(row[4] or '', ARGV[4]), 'state', 'archived', 'rota_end', 'cancelled')
redis.call('HDEL', key, 'pending_since')
redis.call('ZADD', KEYS[2], string.format('%d', math.floor(now)), id)
unlock(base, lock_of(row[3], row[4]), id)
if row[5] then
  -- A user without the right to publish must still be able to cancel.
  redis.pcall('PUBLISH', ARGV[5], 'cancelled\n' .. ARGV[4])
end
return { 'done', state, id }
