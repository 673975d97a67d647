-- Makes tasks pending that are waiting or have ended.
-- KEYS  1 pending
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done, same (it was pending), state (it is
--         running or being aggregated), locked (by the task `id`), aside (it is on its way to the queue `state`), later
--         and error (see `each`)
-- A task that had ended gets all its retries again. In Asynq it keeps its count, so its next failure archives it again.
--! include make_pending
--! include aside
--! include each
local base, prefix = ARGV[1], ARGV[2]
redis.call('LLEN', KEYS[1]) -- fails on a key of the wrong type, before the first write

local function refusal_of(row, id)
  local state, aside = row[1], aside_of(row[1], row[6], row[5])
  if state == 'pending' then
    return { 'same', state, id }
  elseif state == 'active' then
    return { 'state', state, id }
  elseif aside then
    return { 'aside', aside.to, id }
  elseif is_too_much(id, state, #(row[5] or '')) then
    return { 'later', state, id }
  end
  return lock_refusal(id, row[3], row[4], prefix)
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
  local task = {
    group = row[2] or '', unique_key = row[3], scoped = row[4], msg = row[5] or '', place = KEYS[1],
  }
  return { make_pending(base, id, key, state, task) and 'done' or 'state', state, id }
end)
