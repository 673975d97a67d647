-- Puts tasks into a queue with everything that they consist of, as they were in another queue or before their deletion.
-- KEYS  1 pending, 2 record of the queue's pause (only in Rota)
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 prefix of the sets of ids that were put here,
--       4 seconds for which such a set is kept, then for each task seven: id, name of its set, state, score, lock ("" for
--       none), ms for which the lock lives on (-1 = for ever), fields and values as a list in MessagePack
-- Result: for each task { reply, state, id }: done, same (a call with this set has put it here before), conflict (the
--         id is taken), locked (by the task `id`), later and error (see `each`); an error if producers are refused
-- The id stays in the set after the task is gone, so that a process that goes on with a move does not put it here twice.
--! include holder
--! include place
--! include each
--! include refusal
local base, prefix = ARGV[1], ARGV[2]
local refused = refusal(KEYS[2], base .. 'paused')
if refused then
  return refused
end
local sets, pending, checked = {}, {}, {}

local function group_in(fields)
  for n = 1, #fields, 2 do
    if fields[n] == 'group' then
      return fields[n + 1]
    end
  end
  return ''
end

local function lock_for(id, lock, life)
  if life == '-1' then
    redis.call('SET', lock, id)
  else
    redis.call('SET', lock, id, 'PX', life)
  end
end

local replies = each(5, 7, function(id, key, i)
  local set, state, score, lock, life, packed = unpack(ARGV, i + 1, i + 6)
  set = ARGV[3] .. set
  local exists = redis.call('EXISTS', key) == 1
  if (exists or lock ~= '') and redis.call('SISMEMBER', set, id) == 1 then
    return { 'same', state, id }
  elseif exists then
    return { 'conflict', redis.call('HGET', key, 'state') or '', id }
  end
  if is_too_much('', '', #packed) then
    return { 'later', state, id }
  end
  if lock ~= '' then
    local other, other_state = holder(lock, prefix)
    if other and other ~= id then
      return { 'locked', other_state, other }
    end
  end
  local fields = cmsgpack.unpack(packed)
  local group = group_in(fields)
  if not checked[state .. group] then
    check_place(base, state, group)
    checked[state .. group] = true
  end
  if redis.call('SADD', set, id) == 0 then
    return { 'same', state, id }
  end
  redis.call('HSET', key, unpack(fields))
  if lock ~= '' then
    lock_for(id, lock, life)
  end
  sets[set] = true
  if state == 'pending' then
    pending[#pending + 1] = id
  else
    place(base, id, state, score, group)
  end
  return { 'done', state, id }
end)
if #pending > 0 then
  redis.call('LPUSH', base .. 'pending', unpack(pending))
end
for set in pairs(sets) do
  redis.call('EXPIRE', set, ARGV[4])
end
return replies
