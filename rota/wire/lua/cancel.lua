-- Archives waiting tasks as cancelled, or asks the workers that run them to cancel them. Does not count as a failure.
-- KEYS  1 archived
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 reason, 4 error text, 5 prefix of the channels on
--       which ends are announced, then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done (archived now), asked (a worker runs
--         it), ended (it had ended before), state (it is being aggregated), later and error (see `each`)
--! include end
--! include leave
--! include with_error
--! include each
local queue = { base = ARGV[1], channel = ARGV[5], archived = KEYS[1] }
redis.call('ZCARD', KEYS[1]) -- fails on a key of the wrong type, before the first write
return each(6, 1, function(id, key)
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
  if is_too_much(id, state, #(row[4] or '')) then
    return { 'later', state, id }
  end
  if not leave(queue.base, id, state, row[2] or '') then
    return { 'state', state, id }
  end
  local task = { id = id, key = key, msg = row[4] or '', unique_key = row[3], waited = row[5] }
  archive_task(queue, task, 'cancelled', ARGV[4], with_error(task.msg, ARGV[4]))
  return { 'done', state, id }
end)
