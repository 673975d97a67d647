-- Moves the clock of a test. Runs only on a connection with a test clock (see test_clock), so that `now` is its time.
--
-- KEYS  1 the clock
-- ARGV  1 move, freeze, resume, or read, 2 microseconds: by how much to move
-- Result: the time that the clock shows now, in microseconds since 1970 (text)
-- The server deletes unique locks by its own clock, so a move makes their time to live shorter. Everything that a running
-- worker keeps alive moves with the clock, so that no worker is taken for dead: leases, sets under aggregation, and the
-- lists of servers. Their scores keep their fraction (see `whose`).
--! include clock
local act, by = ARGV[1], tonumber(ARGV[2])
local shown = now * 1000000

local function move_locks()
  for _, key in ipairs(redis.call('KEYS', '*}:unique:*')) do
    local left = redis.call('PTTL', key)
    if left >= 0 then
      left = left - math.floor(by / 1000)
      if left > 0 then redis.call('PEXPIRE', key, string.format('%.0f', left)) else redis.call('DEL', key) end
    end
  end
end

local function move_claims()
  local seconds = math.ceil(by / 1000000)
  for _, pattern in ipairs({ '*}:lease', '*}:aggregation_sets', '*:servers', '*:workers' }) do
    for _, key in ipairs(redis.call('KEYS', pattern)) do
      for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
        redis.call('ZINCRBY', key, seconds, member)
      end
    end
  end
end

if act == 'freeze' then
  redis.call('HSET', KEYS[1], 'frozen', string.format('%.0f', shown))
elseif act == 'resume' then
  redis.call('HDEL', KEYS[1], 'frozen')
  local reply = redis.call('TIME') -- as if the clock had never stood still
  local running = tonumber(reply[1]) * 1000000 + tonumber(reply[2])
  redis.call('HINCRBY', KEYS[1], 'offset', string.format('%.0f', shown - running))
elseif act == 'move' then
  move_locks()
  move_claims()
  redis.call('HINCRBY', KEYS[1], 'offset', string.format('%.0f', by))
  if redis.call('HEXISTS', KEYS[1], 'frozen') == 1 then
    redis.call('HINCRBY', KEYS[1], 'frozen', string.format('%.0f', by))
  end
  shown = shown + by
end
return string.format('%.0f', shown)
