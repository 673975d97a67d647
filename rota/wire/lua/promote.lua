-- promote(source, base, task_prefix, now, now_ns, limit) -> moved, dropped
--
-- Moves tasks that are due from one sorted set to where they wait next: `pending`, or their group.
--   source       the `scheduled` or the `retry` key of a queue
--   base         the prefix of that queue's keys
--   task_prefix  the prefix of its task hashes
--   now          Redis time in seconds with a fraction, number or text
--   now_ns       the same in nanoseconds, as text (a double cannot hold it)
--   limit        at most so many IDs are looked at; never above 1000, Lua's stack is finite
-- `moved` counts the tasks moved, `dropped` the IDs taken out because nothing stood behind them. There may be more
-- to do as long as their sum reaches `limit`.
--
-- A task that somebody asked to cancel while it ran ends here as cancelled: a Go server that ran it has put it into
-- `retry`, because Go knows no such request. It counts as moved. Who waits for its end looks again by itself.
-- A place of another type is an error, and then nothing was moved.
--
-- Unlike Asynq's forward it adds the group's name to `groups` too (an emptied group would not be looked at again),
-- and an ID without a hash leaves the set instead of growing a stub that blocks the ID for ever.
--! include end
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
      redis.call('ZCARD', base .. 'g:' .. fields[2]) -- asked for its error, as the next ones, before the first write
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
    redis.call('ZADD', base .. 'g:' .. member[2], now, member[1])
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

