-- Fragment: reads how a queue is paused.
-- pause_row(paused, pause) -> { value of `paused` or false, then JSON, time and value of `paused` for workers, and the
-- same three for producers }
local function pause_row(paused, pause)
  local row = redis.call('HMGET', pause, 'workers', 'workers_at', 'workers_with', 'producers', 'producers_at',
    'producers_with')
  return { redis.call('GET', paused), unpack(row) }
end
