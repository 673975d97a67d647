-- Fragment: maintains the lists of all servers: sorted sets of record keys, scored by the Unix second of their expiry.
-- The script has to include `clock` before.
-- list(key, record, seconds): adds a server to a list, or removes it (0 seconds)
-- Asynq removes expired members when it reads the list. Here they are removed by writers, so that readers do not need
-- permission to write, and a list that is never read does not grow. They are removed an hour later, because the score of
-- a Go server is a time of its own clock, which may be wrong.
local REMOVED_AFTER_SECONDS = 3600
local function list(key, record, seconds)
  local second = math.floor(now)
  if seconds == '0' then
    redis.call('ZREM', key, record)
  else
    redis.call('ZADD', key, second + tonumber(seconds), record)
  end
  local gone = redis.call('ZRANGE', key, '-inf', second - REMOVED_AFTER_SECONDS, 'BYSCORE', 'LIMIT', 0, 100)
  if #gone > 0 then
    redis.call('ZREM', key, unpack(gone))
  end
end
