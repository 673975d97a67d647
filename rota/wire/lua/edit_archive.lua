-- Archives tasks that are not running, as Asynq does: the message stays as it is, and nothing is counted.
-- KEYS  1 archived
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 prefix of the channels on which ends are announced,
--       then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done, same (it was archived), state (it is
--         running or being aggregated), later and error (see `each`)
--! include end
--! include leave
--! include each
local queue = { base = ARGV[1], channel = ARGV[3], archived = KEYS[1] }
redis.call('ZCARD', KEYS[1]) -- fails on a key of the wrong type, before the first write
return each(4, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'msg', 'rota_wait', 'rota_unique')
  local state = row[1]
  if not state then
    return false
  end
  if state == 'archived' then
    return { 'same', state, id }
  end
  if state == 'active' then
    return { 'state', state, id }
  end
  if is_too_much(id, state, #(row[4] or '')) then
    return { 'later', state, id }
  end
  if not leave(queue.base, id, state, row[2] or '') then
    return { 'state', state, id }
  end
  local task = { id = id, key = key, msg = row[4], unique_key = row[3], waited = row[5], scoped = row[6] }
  archive_task(queue, task, '', '')
  return { 'done', state, id }
end)
