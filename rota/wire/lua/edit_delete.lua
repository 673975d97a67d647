-- Deletes tasks that are not running, and releases their locks.
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, then the ids
-- KEYS  1 pending
-- Result: for each task false if it does not exist, else { reply, state, id }: done, state (it is running or being
--         aggregated), later and error (see `each`)
--! include end
--! include leave
--! include each
local queue = { base = ARGV[1] }
return each(3, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'msg')
  local state = row[1]
  if not state then
    return false
  end
  if is_too_much(id, state, #(row[4] or '')) then
    return { 'later', state, id }
  end
  -- Asynq's trimming of the archive leaves hashes behind that are not in any set. Such a hash is deleted too.
  if state == 'active' or not leave(queue.base, id, state, row[2] or '') and state == 'aggregating' then
    return { 'state', state, id }
  end
  delete_task(queue, { id = id, key = key, unique_key = row[3], msg = row[4] })
  return { 'done', state, id }
end)
