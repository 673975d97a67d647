-- Fragment: promote(source, base, task_prefix, now, now_ns, limit) -> moved, dropped
--
-- Moves due tasks from one sorted set to `pending` or to their group.
--   source       the `scheduled` or the `retry` key of a queue
--   base         the prefix of that queue's keys
--   task_prefix  the prefix of its task hashes
--   now          Redis time in seconds with a fraction, number or text
--   now_ns       the same in nanoseconds, as text (a double cannot hold it)
--   limit        most IDs to look at, at most 1000 because `unpack` needs room on Lua's stack
-- `moved` counts the tasks moved, `dropped` the IDs removed because their hash is gone. If their sum reaches `limit`,
-- more tasks may be due.
--
-- A task with a request to cancel is archived as cancelled, and counts as moved. It is in `retry` if a Go server
-- ran it, because Asynq does not know these requests. Its end is not announced: callers that wait for it also poll.
-- A target key of the wrong type raises an error before any task is moved.
--
-- Unlike Asynq's forward, it adds the name of the group to `groups` (without it, no aggregator would look at a group
-- that had been empty), and removes an ID without a hash from the set instead of writing a hash that blocks the ID for
-- ever.
--! include end
--! include time_score
--! include hash
--! include with_error
local function end_cancelled(base, key, id)
  local row = redis.call('HMGET', key, 'msg', 'rota_cancel', 'unique_key')
  local text = 'cancelled: ' .. row[2]
  local task = { id = id, key = key, msg = row[1] or '', unique_key = row[3] }
  archive_task({ base = base, archived = base .. 'archived' }, task, 'cancelled', text, with_error(task.msg, text))
end

local function promote(source, base, task_prefix, now, now_ns, limit)
  local due = redis.call('ZRANGE', source, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
  if #due == 0 then
    return 0, 0
  end
  local waiting, grouped, cancelled, dropped = {}, {}, {}, 0
  for _, id in ipairs(due) do
    local fields = hash(task_prefix .. id, 'state', 'group', 'rota_cancel')
    if not fields[1] then
      dropped = dropped + 1
    elseif fields[3] then
      cancelled[#cancelled + 1] = id
    elseif fields[2] and fields[2] ~= '' then
      grouped[#grouped + 1] = { id, fields[2] }
      redis.call('ZCARD', base .. 'g:' .. fields[2]) -- like the reads below: fails on a wrong type, before any write
    else
      waiting[#waiting + 1] = id
    end
  end
  if #waiting > 0 then
    redis.call('LLEN', base .. 'pending')
  end
  if #grouped > 0 then
    redis.call('SCARD', base .. 'groups')
  end
  if #cancelled > 0 then
    redis.call('ZCARD', base .. 'archived')
  end
  redis.call('ZREM', source, unpack(due))
  for _, id in ipairs(cancelled) do
    end_cancelled(base, task_prefix .. id, id)
  end
  for _, member in ipairs(grouped) do
    redis.call('ZADD', base .. 'g:' .. member[2], due_score(now), member[1])
    redis.call('SADD', base .. 'groups', member[2])
    redis.call('HSET', task_prefix .. member[1], 'state', 'aggregating')
  end
  if #waiting > 0 then
    redis.call('LPUSH', base .. 'pending', unpack(waiting))
    for _, id in ipairs(waiting) do
      redis.call('HSET', task_prefix .. id, 'state', 'pending', 'pending_since', now_ns)
    end
  end
  return #waiting + #grouped + #cancelled, dropped
end

