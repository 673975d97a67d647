-- Fragment: tells whether a uniqueness lock was left behind, so that no task holds it any more.
-- left_behind(lock, id, task_prefix): `id` is the task ID that the lock contains. In these cases it is left behind:
--   - its task exists: the task has left the lock's scope or does not name the lock (see `holder`)
--   - its task does not exist, and the lock is for a key that the caller chose (64 hex digits) or does not expire
-- A lock of Asynq, which expires, is kept after its task is gone until it expires, because Go clients expect that.
--! include holder
local function left_behind(lock, id, task_prefix)
  if holder(lock, task_prefix) then
    return false
  elseif redis.call('EXISTS', task_prefix .. id) == 1 then
    return true
  end
  local digest = string.match(lock, ':(%x+)$')
  return digest and #digest == 64 or redis.call('PTTL', lock) == -1
end
