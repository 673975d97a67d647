-- Fragment: makes a task pending that waits or has ended.
-- RESET: what the message of a task gets that had ended. If a protobuf field occurs twice, the last one counts. So
--   `retried` (6) and `completed_at` (13) become 0.
-- lock_refusal(id, lock, scoped, prefix) -> nil, or the reply `locked`: another task holds the lock that this one needs
-- make_pending(base, id, key, state, row) -> whether the task was in the place of its state, and is pending now
--   row  group, unique_key, scoped (its lock has a scope of Rota), msg, place (the list of pending tasks)
--! include clock
--! include holder
--! include leave
local RESET = '\48\0' .. '\104\0'

local function lock_refusal(id, lock, scoped, prefix)
  if lock and scoped then
    local other, other_state = holder(lock, prefix)
    if other and other ~= id then
      return { 'locked', other_state, other }
    end
  end
end

local function make_pending(base, id, key, state, row)
  if not leave(base, id, state, row.group) then
    return false
  end
  if row.unique_key and row.scoped and redis.call('GET', row.unique_key) ~= id then
    redis.call('SET', row.unique_key, id)
  end
  if state == 'archived' or state == 'completed' then
    redis.call('HSET', key, 'msg', row.msg .. RESET)
    redis.call('HDEL', key, 'result', 'rota_cancel', 'rota_end', 'rota_crashes', 'rota_progress', 'rota_log',
      'rota_aside')
  end
  -- Without this, the task would go back to its group at its first retry.
  redis.call('HDEL', key, 'group')
  redis.call('LPUSH', row.place, id)
  redis.call('HSET', key, 'state', 'pending', 'pending_since', now_ns)
  return true
end
