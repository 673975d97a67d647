-- Fragment: forgets a pause of producers that is over, because a Go program has resumed the queue (see `pause`).
-- forget_lapsed(paused, pause): otherwise a later pause or resume of the workers would bring it back.
local function forget_lapsed(paused, pause)
  local with = redis.call('HGET', pause, 'producers_with')
  if with and redis.call('GET', paused) ~= with then
    redis.call('HDEL', pause, 'producers', 'producers_at', 'producers_with')
  end
end
