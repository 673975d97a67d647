-- Frees the unique locks that tasks name, if the task that holds the lock does not exist, has ended, or has left the
-- lock's scope. The tasks themselves stay as they are.
-- KEYS  1 pending, which names the server
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 1 to free also the lock that a task itself holds,
--       then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done, same (its lock is free), none (it
--         names no lock of this queue), held (by itself), locked (by the task `id`, in `state`), later and error (see
--         `each`)
-- A lock that another task holds is never freed by force: so a call that is sent again, because its reply was lost, frees
-- no lock that was taken since.
--! include kept_lock
--! include unlock
--! include each
local base, prefix = ARGV[1], ARGV[2]
return each(4, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'unique_key')
  local state = row[1]
  if not state then
    return false
  end
  local msg = not row[2] and redis.call('HGET', key, 'msg') or ''
  if is_too_much(id, '', 2 * #msg) then -- `holder` may read it again
    return { 'later', state, id }
  end
  local lock = lock_of(row[2], msg)
  if not lock or string.sub(lock, 1, #base) ~= base then -- in a Cluster it could be on another server
    return { 'none', state, id }
  end
  if not redis.call('GET', lock) then
    return { 'same', state, id }
  end
  local other, other_state = keeper(lock, prefix)
  if other and other ~= id then
    return { 'locked', other_state, other }
  elseif other and ARGV[3] ~= '1' then
    return { 'held', state, id }
  end
  redis.call('DEL', lock)
  return { 'done', state, id }
end)
