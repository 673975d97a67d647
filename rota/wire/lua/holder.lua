-- Fragment: finds the task that holds a uniqueness lock.
-- holder(lock, task_prefix) -> id, state, group; nil if the lock is free or was left behind.
-- A task that is aside (see `aside`) holds its lock until it has arrived elsewhere.
-- A lock is left behind, and counts as free, if its task does not exist, is in a state outside the lock's scope, or
-- does not name this lock. Asynq causes the last case: it takes the lock, and then finds that the task's id is taken.
--! include field
local LEFT_SCOPE = {
  queued = { active = true, retry = true, archived = true, completed = true },
  running = { archived = true, completed = true },
}

local function holder(lock, task_prefix)
  local id = redis.call('GET', lock)
  if not id then
    return nil
  end
  local row = redis.call('HMGET', task_prefix .. id, 'state', 'rota_unique', 'group', 'unique_key', 'rota_aside')
  if not row[1] then
    return nil
  end
  -- Asynq stores the lock of a grouped task in the message only.
  local named = row[4] or field(redis.call('HGET', task_prefix .. id, 'msg') or '', 10)
  if named ~= lock then
    return nil
  end
  local left = not row[5] and LEFT_SCOPE[row[2]]
  if left and left[row[1]] then
    return nil
  end
  return id, row[1], row[3] or ''
end
