-- Makes tasks pending that are waiting or have ended.
-- KEYS  1 pending
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done, same (it was pending), state (it is
--         running or being aggregated), locked (by the task `id`), aside (it is on its way to the queue `state`), later
--         and error (see `each`)
-- A task that had ended gets all its retries again. In Asynq it keeps its count, so its next failure archives it again.
--! include clock
--! include holder
--! include leave
--! include aside
--! include each
local base, prefix = ARGV[1], ARGV[2]
redis.call('LLEN', KEYS[1]) -- fails on a key of the wrong type, before the first write

local function refusal_of(row, id)
  local state, scoped, aside = row[1], row[3] and row[4], aside_of(row[1], row[6], row[5])
  if state == 'pending' then
    return { 'same', state, id }
  elseif state == 'active' then
    return { 'state', state, id }
  elseif aside then
    return { 'aside', aside.to, id }
  elseif is_too_much(id, state, #(row[5] or '')) then
    return { 'later', state, id }
  end
  if scoped then
    local other, other_state = holder(row[3], prefix)
    if other and other ~= id then
      return { 'locked', other_state, other }
    end
  end
end

return each(3, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'rota_unique', 'msg', 'rota_aside')
  local state = row[1]
  if not state then
    return false
  end
  local refusal = refusal_of(row, id)
  if refusal then
    return refusal
  end
  if not leave(base, id, state, row[2] or '') then
    return { 'state', state, id }
  end
  if row[3] and row[4] and redis.call('GET', row[3]) ~= id then
    redis.call('SET', row[3], id)
  end
  if state == 'archived' or state == 'completed' then
    -- If a protobuf field occurs twice, the last one counts. So `retried` (6) and `completed_at` (13) become 0.
    redis.call('HSET', key, 'msg', (row[5] or '') .. '\48\0' .. '\104\0')
    redis.call('HDEL', key, 'result', 'rota_cancel', 'rota_end', 'rota_crashes', 'rota_progress', 'rota_log',
      'rota_aside')
  end
  -- Without this, the task would go back to its group at its first retry.
  redis.call('HDEL', key, 'group')
  redis.call('LPUSH', KEYS[1], id)
  redis.call('HSET', key, 'state', 'pending', 'pending_since', now_ns)
  return { 'done', state, id }
end)
