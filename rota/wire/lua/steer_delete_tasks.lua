-- Deletes some tasks of one list or set of a queue that is being deleted, with their hashes and locks.
--
-- KEYS  1 record of the pause (only in Rota), 2 the list or sorted set, 3 hash or set in which key 2 is listed (may be
--       left out)
-- ARGV  1 id of this deletion, 2 prefix of the queue's keys, 3 prefix of its task hashes, 4 most tasks (at most 500),
--       5 most bytes of messages to read, 6 name under which key 2 is listed in key 3
-- Result: { number of deleted tasks, or -1 if this deletion has ended; 1 if more were there }
--! include deletion
--! include unlock
if not is_current(KEYS[1], ARGV[1]) then
  return { -1, 0 }
end
local base, most, room = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'list' and kind ~= 'zset' then
  redis.call('UNLINK', KEYS[2]) -- another program has written it
end
local is_list = kind == 'list'
local ids = is_list and redis.call('LRANGE', KEYS[2], 0, most - 1) or redis.call('ZRANGE', KEYS[2], 0, most - 1)
local keys = {}
for _, id in ipairs(ids) do
  local key = ARGV[3] .. id
  local row = redis.pcall('HMGET', key, 'unique_key', 'group') -- pcall: a key of the wrong type is deleted as well
  local lock = not row.err and row[1]
  if not row.err and not lock and row[2] then
    -- Asynq stores the lock of a grouped task in its message only. Large messages are read by the next calls.
    room = room - redis.call('HSTRLEN', key, 'msg')
    if room < 0 and #keys > 0 then
      break
    end
    lock = lock_of(nil, redis.call('HGET', key, 'msg') or nil)
  end
  unlock(base, lock or nil, id)
  keys[#keys + 1] = key
end
if #keys > 0 then
  redis.call('UNLINK', unpack(keys))
  if is_list then
    redis.call('LTRIM', KEYS[2], #keys, -1)
  else
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #keys - 1)
  end
end
if KEYS[3] and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.pcall(redis.call('TYPE', KEYS[3]).ok == 'zset' and 'ZREM' or 'SREM', KEYS[3], ARGV[6])
end
return { #keys, (#ids == most or #keys < #ids) and 1 or 0 }
