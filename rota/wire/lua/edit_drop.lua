-- Ends what `edit_take` began: deletes tasks that are aside, because they are elsewhere now, or puts them back.
-- KEYS  1 archived, 2 tasks that are aside (only in Rota)
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 delete or return, then for each task two: id, mark
-- Result: for each task false if it does not exist, else { reply, state, id }: done (with its state before), changed (it
--         is not aside with this mark), later and error (see `each`)
--! include end
--! include aside
--! include place
--! include each
local base, dropped = ARGV[1], {}
for _, key in ipairs(KEYS) do
  redis.call('ZCARD', key) -- fails on a key of the wrong type, before the first write
end
local replies = each(4, 2, function(id, key, i)
  local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'msg', 'rota_aside')
  local group, msg = row[2] or '', row[4] or ''
  if not row[1] then
    redis.call('ZREM', KEYS[2], id)
    return false
  end
  local aside = aside_of(row[1], row[5], msg)
  if not aside or aside.mark ~= ARGV[i + 1] then
    return { 'changed', row[1], id }
  end
  if is_too_much('', '', #msg) then
    return { 'later', row[1], id }
  end
  if ARGV[3] == 'delete' then
    dropped[#dropped + 1] = id
    delete_task({ base = base }, { id = id, key = key, unique_key = row[3], msg = msg })
    return { 'done', aside.state, id }
  end
  check_place(base, aside.state, group)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HSET', key, 'state', aside.state, 'msg', string.sub(msg, 1, aside.bytes))
  redis.call('HDEL', key, 'rota_aside')
  if aside.since ~= '' then
    redis.call('HSET', key, 'pending_since', aside.since)
  end
  -- A pending task goes to the front of the queue, because it may have missed its turn.
  place(base, id, aside.state, aside.score, group, true)
  return { 'done', aside.state, id }
end)
if #dropped > 0 then
  redis.call('ZREM', KEYS[1], unpack(dropped))
  redis.call('ZREM', KEYS[2], unpack(dropped))
end
return replies
