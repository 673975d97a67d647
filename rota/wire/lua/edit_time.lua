-- Changes the time at which a waiting task runs.
-- KEYS  1 hash of the task, 2 pending, 3 scheduled, 4 retry
-- ARGV  1 id, 2 when ("1700000000.5" for a Unix time, "+2.5" for seconds from now by the server's clock)
-- Result: false if the task does not exist, else { reply, state, id }: done (with its new state), state (it is neither
--         scheduled nor in retry nor pending)
--! include clock
local id, at = ARGV[1], tonumber(ARGV[2])
if string.byte(ARGV[2]) == 43 then
  at = now + at
end
local row = redis.call('HMGET', KEYS[1], 'state', 'unique_key')
local state = row[1]
if not state then
  return false
end
local places = { scheduled = KEYS[3], retry = KEYS[4] }
local place, due = places[state], nil
if place then
  due = tonumber(redis.call('ZSCORE', place, id))
elseif state == 'pending' then
  place = KEYS[3]
  redis.call('ZCARD', place) -- fails on a key of the wrong type, before the first write
  due = redis.call('LREM', KEYS[2], 1, id) == 1 and now
end
if not due then
  return { 'state', state, id }
end
redis.call('ZADD', place, string.format('%.6f', at), id)
if state == 'pending' then
  state = 'scheduled'
  redis.call('HSET', KEYS[1], 'state', state)
  redis.call('HDEL', KEYS[1], 'pending_since')
end
-- The time to live of a lock begins when its task is due, so a later time extends the lock by the same amount.
if row[2] and at > due and redis.pcall('GET', row[2]) == id then
  local life = redis.call('PTTL', row[2])
  if life > 0 then
    redis.call('PEXPIRE', row[2], string.format('%d', math.ceil(life + (at - due) * 1000)))
  end
end
return { 'done', state, id }
