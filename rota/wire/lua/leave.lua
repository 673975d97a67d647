-- Fragment: taking a task out of where it waits or rests.
-- is_aggregated(base, id, state, group) -> whether an aggregation has the task: it may have been read already.
-- leave(base, id, state, group) -> whether it was there. A task inside an aggregation set is not: it is being used.
local function is_aggregated(base, id, state, group)
  return state == 'aggregating' and not redis.call('ZSCORE', base .. 'g:' .. group, id)
end

local function leave(base, id, state, group)
  if state == 'pending' then
    return redis.call('LREM', base .. 'pending', 1, id) == 1
  end
  if state ~= 'aggregating' then
    return redis.call('ZREM', base .. state, id) == 1
  end
  local place = base .. 'g:' .. group
  if redis.call('ZREM', place, id) == 0 then
    return false
  end
  if redis.call('EXISTS', place) == 0 then
    redis.pcall('SREM', base .. 'groups', group) -- of another type, it must not leave the task half taken out
  end
  return true
end
