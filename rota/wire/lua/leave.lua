-- Fragment: removes a task from the list or set of its state.
-- is_aggregated(base, id, state, group) -> whether the task is in an aggregation set, where it may have been read.
-- score_of(base, id, state, group) -> its score there; '' for a pending task, false if the task is not there
-- leave(base, id, state, group) -> whether the task was removed. A task in an aggregation set is not removed.
--! include near_tail

local function is_aggregated(base, id, state, group)
  return state == 'aggregating' and not redis.call('ZSCORE', base .. 'g:' .. group, id)
end

local function score_of(base, id, state, group)
  if state == 'pending' then
    return ''
  end
  return redis.call('ZSCORE', state == 'aggregating' and base .. 'g:' .. group or base .. state, id)
end

local function leave(base, id, state, group)
  if state == 'pending' then
    local list = base .. 'pending'
    return redis.call('LREM', list, is_near_tail(list, id) and -1 or 1, id) == 1
  end
  if state ~= 'aggregating' then
    return redis.call('ZREM', base .. state, id) == 1
  end
  local place = base .. 'g:' .. group
  if redis.call('ZREM', place, id) == 0 then
    return false
  end
  if redis.call('EXISTS', place) == 0 then
    redis.pcall('SREM', base .. 'groups', group) -- pcall: if `groups` has the wrong type, the script must not stop here
  end
  return true
end
