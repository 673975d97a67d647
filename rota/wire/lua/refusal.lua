-- Fragment: refuses producers while a queue is paused for them, drained or deleted.
-- refusal(pause, paused) -> nil, or the error reply. `pause` is the record that `steer_pause` writes, `paused` Asynq's key.
-- A pause of workers and producers names the value of `paused` that belongs to it. If a Go program has resumed the
-- queue, `paused` is gone or has another value. Then the pause of the producers is over too, and its rest is deleted.
local function refusal(pause, paused)
  local record = redis.call('HGET', pause, 'producers')
  if not record then
    return nil
  end
  local more = redis.call('HMGET', pause, 'producers_at', 'producers_with')
  if more[2] and redis.call('GET', paused) ~= more[2] then
    redis.call('HDEL', pause, 'producers', 'producers_at', 'producers_with')
    return nil
  end
  return redis.error_reply('QUEUEPAUSED ' .. (more[1] or '0') .. ' ' .. record)
end
