-- Fragment: what becomes of a task whose worker died. Needs `clock`, `count`, `announce`, `unlock`.
-- give_back(place, id, row, error) -> 'pending', 'cancelled' or 'quarantined'
--   place  the queue: base, prefix (of task hashes), channel (prefix), active, lease, pending, archived, and
--          crashes (so many make a quarantine; 0: this is no crash, nothing is counted)
--   row    the task's msg, rota_wait, rota_unique, unique_key, rota_cancel
--   error  text of a quarantine
-- A crash costs no retry. The task goes to the front of the line, without its token: the dead attempt can record
-- nothing, should a request of it still be under way.
--! include with_error
local function rest(place, id, row, ending, text)
  local key = place.prefix .. id
  redis.call('ZADD', place.archived, math.floor(now), id)
  redis.call('HSET', key, 'msg', with_error(row[1], text), 'state', 'archived', 'rota_end', ending)
  -- As in `record`: Asynq keeps the lock of an archived task, our own scopes end here.
  if row[3] or ending == 'cancelled' then
    unlock(place.base, lock_of(row[4], row[1]), id)
  end
  if row[2] then
    announce(place.channel .. id, ending == 'cancelled' and 'cancelled' or 'archived', text)
  end
  return ending
end

local function give_back(place, id, row, error)
  local key = place.prefix .. id
  redis.call('LREM', place.active, 0, id)
  redis.call('ZREM', place.lease, id)
  redis.call('HDEL', key, 'rota_token')
  if row[5] then
    return rest(place, id, row, 'cancelled', 'cancelled: ' .. row[5])
  end
  if place.crashes > 0 and redis.call('HINCRBY', key, 'rota_crashes', 1) >= place.crashes then
    return rest(place, id, row, 'quarantined', error)
  end
  redis.call('RPUSH', place.pending, id)
  redis.call('HSET', key, 'state', 'pending', 'pending_since', now_ns)
  return 'pending'
end
