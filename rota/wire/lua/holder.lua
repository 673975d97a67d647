-- Fragment: who holds a uniqueness lock.
-- holder(lock, task_prefix) -> id, state, group; nil where the lock is free or only left behind.
-- A lock heals itself: it is free if its task is gone, has left the scope that it wrote down, or names another lock or
-- none. Asynq leaves such a lock behind where it takes the lock first and then finds the task's id taken.
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
  local row = redis.call('HMGET', task_prefix .. id, 'state', 'rota_unique', 'group', 'unique_key')
  if not row[1] then
    return nil
  end
  -- Asynq stores the lock of a grouped task in the message only.
  local named = row[4] or field(redis.call('HGET', task_prefix .. id, 'msg') or '', 10)
  if named ~= lock then
    return nil
  end
  local left = LEFT_SCOPE[row[2]]
  if left and left[row[1]] then
    return nil
  end
  return id, row[1], row[3] or ''
end
