-- Fragment: leaves young tasks of some types in their queue, so that another worker can take them.
--
-- This worker cannot run these types. If it took the tasks and handed them back, a Go server that polls each second would
-- never get them, because this worker is notified at once. If it stopped fetching from the queue for a while instead, the
-- tasks that it can run would wait too (docs/design.md has the figures). So it looks past them. It does not write to a
-- task that stays, because a write would wake up every idle worker, also this one.
--
-- sparing(types, seconds) -> spare, or nil if there are no types
--   types          list of the spared types
--   seconds        for how long after it became pending a task stays
-- spare.ids(list, n) -> the ids to look at, the next one to be taken last, so that `n` of them may be taken
-- spare.stays_until(row, key) -> until when the task stays in its queue, or nil if it does not
--   row            the message, and the reason of a request to cancel it, which any worker can carry out
-- spare.remove(list, ids): removes the ids of taken tasks, which are not the last ones of the list
--! include field
local LOOK_PAST = 64

local function sparing(types, seconds)
  if #types == 0 then return nil end
  local spared, spare = {}, {}
  for _, name in ipairs(types) do spared[name] = true end

  function spare.ids(list, n)
    return redis.call('LRANGE', list, -(n + LOOK_PAST), -1)
  end

  function spare.stays_until(row, key)
    if not row[1] or row[2] or not spared[field(row[1], 1)] then return nil end
    local since = (tonumber(redis.call('HGET', key, 'pending_since') or '') or 0) / 1e9
    -- Written so that NaN returns nil. Both numbers are rounded, so a task of this very moment can look younger than now.
    if not (since < now + 0.001 and now < since + seconds) then return nil end
    return since + seconds
  end

  function spare.remove(list, ids)
    for _, id in ipairs(ids) do redis.call('LREM', list, -1, id) end
  end

  return spare
end
