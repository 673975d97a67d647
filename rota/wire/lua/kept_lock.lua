-- Fragment: tells whether a unique lock is still needed.
-- keeper(lock, prefix) -> id, state of the task that holds the lock and has not ended; nil if the lock may be freed, for
--   its task does not exist, has ended, or has left the lock's scope
--! include holder
local function keeper(lock, prefix)
  local id, state = holder(lock, prefix)
  local has_ended = state == 'archived' or state == 'completed'
  -- A task that is aside is archived only until it has arrived elsewhere.
  if id and (not has_ended or redis.call('HEXISTS', prefix .. id, 'rota_aside') == 1) then
    return id, state
  end
end
