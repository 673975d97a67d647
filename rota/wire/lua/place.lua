-- Fragment: puts a task into the list or set of a state.
-- place(base, id, state, score, group, first): `first` puts a pending task to the front of the queue. A pending task has
--   no score.
-- check_place(base, state, group): fails on a key of the wrong type. To be called before the first write.
local function place(base, id, state, score, group, first)
  if state == 'pending' then
    redis.call(first and 'RPUSH' or 'LPUSH', base .. 'pending', id)
  elseif state == 'aggregating' then
    redis.call('ZADD', base .. 'g:' .. group, score, id)
    redis.call('SADD', base .. 'groups', group)
  else
    redis.call('ZADD', base .. state, score, id)
  end
end

local function check_place(base, state, group)
  if state == 'pending' then
    redis.call('LLEN', base .. 'pending')
  elseif state == 'aggregating' then
    redis.call('ZCARD', base .. 'g:' .. group)
    redis.call('SCARD', base .. 'groups')
  else
    redis.call('ZCARD', base .. state)
  end
end
