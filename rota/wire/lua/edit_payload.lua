-- Replaces the messages of tasks that are not running, and moves their locks to the new payloads. Can make the tasks
-- pending in the same step, so that none has the new payload without running.
-- KEYS  1 pending
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 1 to make the tasks pending, then for each task five:
--       id, message as it was read, new message, lock of the old message ("" for none), lock of the new message
-- Result: for each task false if it does not exist, else { reply, state, id }: done, same (an earlier sending has done it,
--         or the message was the new one and there is nothing to run), state (it is running, being aggregated, or
--         completed), aside (it is on its way to the queue `state`), changed (the message was changed meanwhile: read it
--         again), locked (by the task `id`), later and error (see `each`)
--! include make_pending
--! include aside
--! include each
local base, prefix, runs = ARGV[1], ARGV[2], ARGV[3] == '1'
redis.call('LLEN', KEYS[1]) -- fails on a key of the wrong type, before the first write

local function is_written(row, read, new)
  if not runs then
    return read ~= new and row[2] == new
  end
  return (row[1] == 'pending' or row[1] == 'active') and (read ~= new and row[2] == new or row[2] == new .. RESET)
end

local function refusal_of(row, id, read, new)
  local state = row[1]
  if is_written(row, read, new) then
    return { 'same', state, id }
  end
  if state == 'active' or state == 'completed' or is_aggregated(base, id, state, row[3] or '') then
    return { 'state', state, id }
  end
  local aside = aside_of(state, row[4], row[2])
  if aside then
    return { 'aside', aside.to, id }
  elseif row[2] ~= read then
    return { 'changed', state, id }
  elseif read == new and (not runs or state == 'pending') then
    return { 'same', state, id }
  elseif is_too_much(id, '', 2 * #read + #new) then
    return { 'later', state, id }
  end
end

-- If the old lock has expired, or another task has taken it since, the task does not take a lock again.
local function life_of(id, old_lock)
  return redis.call('GET', old_lock) == id and redis.call('PTTL', old_lock)
end

local function move_lock(id, key, old_lock, new_lock, life)
  if life then
    redis.call('DEL', old_lock)
    if life > 0 then
      redis.call('SET', new_lock, id, 'PX', life)
    else
      redis.call('SET', new_lock, id)
    end
  end
  redis.call('HSET', key, 'unique_key', new_lock)
end

return each(4, 5, function(id, key, i)
  local read, new, old_lock, new_lock = unpack(ARGV, i + 1, i + 4)
  local row = redis.call('HMGET', key, 'state', 'msg', 'group', 'rota_aside', 'rota_unique', 'unique_key')
  local state = row[1]
  if not state then
    return false
  end
  local refusal = refusal_of(row, id, read, new)
  if refusal then
    return refusal
  end
  local moves, makes_pending = old_lock ~= new_lock, runs and state ~= 'pending'
  local life, named = moves and life_of(id, old_lock), moves and new_lock or row[6]
  refusal = life and lock_refusal(id, new_lock, true, prefix)
    or makes_pending and lock_refusal(id, named, row[5], prefix)
  if refusal then
    return refusal
  end
  if makes_pending then
    local task = { group = row[3] or '', unique_key = named, scoped = row[5], msg = new, place = KEYS[1] }
    if not make_pending(base, id, key, state, task) then
      return { 'state', state, id }
    end
  end
  if moves then
    move_lock(id, key, old_lock, new_lock, life)
  end
  if not makes_pending or state ~= 'archived' then -- else it is written already
    redis.call('HSET', key, 'msg', new)
  end
  return { 'done', state, id }
end)
