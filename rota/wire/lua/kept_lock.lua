-- Fragment: tells whether a unique lock is still needed.
-- keeper(lock, prefix) -> id, state of the task that holds the lock and has not ended; nil if the lock may be freed, for
--   its task does not exist, has ended, or has left the lock's scope
--! include aside
--! include holder
local function keeper(lock, prefix)
  local id, state = holder(lock, prefix)
  if not id then
    return nil
  elseif state == 'archived' then
    -- A task that is aside is archived only until it has arrived elsewhere.
    local row = redis.call('HMGET', prefix .. id, 'rota_aside', 'msg')
    if aside_of(state, row[1], row[2]) then
      return id, state
    end
  elseif state ~= 'completed' then
    return id, state
  end
end
