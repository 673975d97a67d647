-- Fragment: who holds a uniqueness lock.
-- holder(lock, task_prefix) -> id, state, group; nil where the lock is free or only left behind.
-- A lock heals itself: one whose task is gone, or has left the scope that its task wrote down, holds nobody up.
local LEFT_SCOPE = {
  queued = { active = true, retry = true, archived = true, completed = true },
  running = { archived = true, completed = true },
}

local function holder(lock, task_prefix)
  local id = redis.call('GET', lock)
  if not id then
    return nil
  end
  local row = redis.call('HMGET', task_prefix .. id, 'state', 'rota_unique', 'group')
  if not row[1] then
    return nil
  end
  local left = LEFT_SCOPE[row[2]]
  if left and left[row[1]] then
    return nil
  end
  return id, row[1], row[3] or ''
end
