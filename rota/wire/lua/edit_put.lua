-- Puts tasks into a queue with everything that they consist of, as they were in another queue or before their deletion.
-- KEYS  1 pending, 2 record of the queue's pause (only in Rota)
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 prefix of the keys of marks, 4 seconds for which a
--       mark is kept, then for each task seven: id, mark, state, score, lock ("" for none), ms for which the lock lives
--       on (-1 = for ever), fields and values as a list in MessagePack
-- Result: for each task { reply, state, id }: done, same (a call with this mark has put it here before), conflict (the
--         id is taken), locked (by the task `id`), later and error (see `each`); an error if producers are refused
-- The mark is kept after the task is gone, so that a process that goes on with a move does not put it here twice.
--! include holder
--! include place
--! include each
--! include refusal
local base, prefix = ARGV[1], ARGV[2]
local refused = refusal(KEYS[2], base .. 'paused')
if refused then
  return refused
end
return each(5, 7, function(id, key, i)
  local mark, state, score, lock, life, packed = unpack(ARGV, i + 1, i + 6)
  local fields, group = cmsgpack.unpack(packed), ''
  for n = 1, #fields, 2 do
    group = fields[n] == 'group' and fields[n + 1] or group
  end
  if redis.call('EXISTS', ARGV[3] .. mark) == 1 then
    return { 'same', state, id }
  elseif redis.call('EXISTS', key) == 1 then
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
  check_place(base, state, group)
  redis.call('SET', ARGV[3] .. mark, '1', 'EX', ARGV[4])
  redis.call('HSET', key, unpack(fields))
  if lock ~= '' and life == '-1' then
    redis.call('SET', lock, id)
  elseif lock ~= '' then
    redis.call('SET', lock, id, 'PX', life)
  end
  place(base, id, state, score, group)
  return { 'done', state, id }
end)
