-- Fragment: puts back a task whose worker died.
-- give_back(queue, id, row, error) -> 'pending', 'cancelled' or 'quarantined'
--   queue  as in `end`, and prefix (of task hashes), active, lease, pending, crashes (the number of crashes after which
--          a task is quarantined; 0 if the worker did not crash, so that nothing is counted), and for the record of
--          the attempt (see `attempts`) died (its members that are known) and room (most bytes of all records)
--   row    the task's msg, rota_wait, rota_unique, unique_key, rota_cancel
--   error  error text if the task is quarantined
-- given_back: how many tasks `give_back` has put where.
-- count_given_back(queue, crashes_key, processed, failed): counts these tasks, together with the ones of the script that
-- were processed or failed otherwise. `crashes_key` is the counter of crashes.
-- The counts by minute (see `minute`) have no times of attempts that crashed.
-- A crash uses no retry. The task goes to the front of the queue. Its token is removed, so that a late request of the
-- dead attempt cannot record an outcome.
--! include attempts
--! include count
--! include end
--! include field
--! include minute
--! include with_error
local function held_task(queue, id, row)
  return {
    id = id, key = queue.prefix .. id, msg = row[1], waited = row[2], scoped = row[3], unique_key = row[4],
    cancel = row[5],
  }
end

local given_back = { pending = 0, cancelled = 0, quarantined = 0 }
local ENDED_AS = { cancelled = 'cancelled', quarantined = 'failed' }
local crash_names, crash_numbers = {}, {}

local function moved(queue, task, where)
  given_back[where] = given_back[where] + 1
  local is_crash = queue.crashes > 0 and where ~= 'cancelled'
  if is_crash or ENDED_AS[where] then
    local type = task.msg and field(task.msg, 1) or ''
    for _, count in ipairs({ 'n', is_crash and 'crashed' or ENDED_AS[where], is_crash and ENDED_AS[where] or nil }) do
      crash_names[#crash_names + 1], crash_numbers[#crash_numbers + 1] = count .. ':' .. type, 1
    end
  end
  return where
end

local function give_back(queue, id, row, error)
  local task = held_task(queue, id, row)
  local token, lease = redis.call('HGET', task.key, 'rota_token'), redis.call('ZSCORE', queue.lease, id)
  add_attempt(task.key, lost_attempt(token, lease, queue.died), queue.room)
  redis.call('LREM', queue.active, 0, id)
  redis.call('ZREM', queue.lease, id)
  redis.call('HDEL', task.key, 'rota_token')
  if task.cancel then
    local text = 'cancelled: ' .. task.cancel
    archive_task(queue, task, 'cancelled', text, with_error(task.msg, text))
    return moved(queue, task, 'cancelled')
  end
  if queue.crashes > 0 and redis.call('HINCRBY', task.key, 'rota_crashes', 1) >= queue.crashes then
    archive_task(queue, task, 'quarantined', error, with_error(task.msg, error))
    return moved(queue, task, 'quarantined')
  end
  redis.call('RPUSH', queue.pending, id)
  redis.call('HSET', task.key, 'state', 'pending', 'pending_since', now_ns)
  return moved(queue, task, 'pending')
end

local function count_given_back(queue, crashes_key, processed, failed)
  local quarantined = given_back.quarantined
  count(queue.base, processed + given_back.cancelled + quarantined, failed + quarantined)
  if queue.crashes > 0 then
    count_crashes(crashes_key, given_back.pending + quarantined)
  end
  crash_names, crash_numbers = put_together(crash_names, crash_numbers, {}) -- several may be of one type
  count_minute(minute_prefix(queue.base), nil, crash_names, crash_numbers)
end
