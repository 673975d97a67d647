-- Fragment: the lists of all servers, sorted sets of record keys by the Unix second they expire. Needs `clock`.
-- list(key, record, seconds): put a server on a list, or take it off (0)
-- Go drops expired members when somebody reads the list. Here those who write it do, so that a reader need not
-- write and a list that nobody reads does not grow.
local function list(key, record, seconds)
  local second = math.floor(now)
  if seconds == '0' then
    redis.call('ZREM', key, record)
  else
    redis.call('ZADD', key, second + tonumber(seconds), record)
  end
  local gone = redis.call('ZRANGE', key, '-inf', second - 1, 'BYSCORE', 'LIMIT', 0, 100)
  if #gone > 0 then
    redis.call('ZREM', key, unpack(gone))
  end
end
