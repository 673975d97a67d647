-- Changes the time at which waiting tasks run.
-- KEYS  1 pending, 2 scheduled, 3 retry
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 when ("1700000000.5" for a Unix time, "+2.5" for
--       seconds from now by the server's clock), then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done (with its new state), state (it is
--         neither scheduled nor in retry nor pending), later and error (see `each`)
--! include clock
--! include time_score
--! include leave
--! include each
local at = tonumber(ARGV[3])
if string.byte(ARGV[3]) == 43 then
  at = now + at
end
redis.call('ZCARD', KEYS[2]) -- fails on a key of the wrong type, before the first write
local places = { scheduled = KEYS[2], retry = KEYS[3] }
return each(4, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'unique_key')
  local state = row[1]
  if not state then
    return false
  end
  if is_too_much(id, state, 0) then
    return { 'later', state, id }
  end
  local place, due = places[state], nil
  if place then
    due = tonumber(redis.call('ZSCORE', place, id))
  elseif state == 'pending' then
    place = KEYS[2]
    due = leave(ARGV[1], id, state, '') and now
  end
  if not due then
    return { 'state', state, id }
  end
  redis.call('ZADD', place, time_score(at), id)
  if state == 'pending' then
    state = 'scheduled'
    redis.call('HSET', key, 'state', state)
    redis.call('HDEL', key, 'pending_since')
  end
  -- The time to live of a lock begins when its task is due, so a later time extends the lock by the same amount.
  if row[2] and at > due and redis.pcall('GET', row[2]) == id then
    local life = redis.call('PTTL', row[2])
    if life > 0 then
      redis.call('PEXPIRE', row[2], string.format('%d', math.ceil(life + (at - due) * 1000)))
    end
  end
  return { 'done', state, id }
end)
