-- Deletes expired completed tasks of one queue, and archived tasks beyond the limits of the archive.
--
-- KEYS  1 completed, 2 archived, 3 counter of deleted archived tasks (only in Rota)
-- ARGV  1 key base, 2 task key prefix, 3 most tasks to delete of each kind (at most 1000),
--       4 most archived tasks to keep, 5 longest time to keep them in seconds
-- Result: { completed tasks deleted, archived tasks deleted, 1 if there is more to do }
-- Asynq trims the whole excess whenever it archives a task: 8000 tasks at once make its script fail, and it leaves
-- their locks behind (traps 13 and 51 in docs/asynq-differences.md). Rota trims here, in batches, and releases the
-- locks.
--! include clock
--! include unlock
local base, prefix, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function delete(container, ids)
  if #ids == 0 then
    return 0
  end
  local hashes = {}
  for i, id in ipairs(ids) do
    hashes[i] = prefix .. id
  end
  redis.call('ZREM', container, unpack(ids))
  return redis.call('DEL', unpack(hashes))
end

local expired = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
delete(KEYS[1], expired)

-- The oldest tasks have the lowest ranks, so the larger of the two numbers covers both: too old, and too many.
local excess = math.max(
  redis.call('ZCOUNT', KEYS[2], '-inf', now - tonumber(ARGV[5])),
  redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
)
local trimmed = 0
if excess > 0 then
  local old = redis.call('ZRANGE', KEYS[2], 0, math.min(excess, limit) - 1)
  for _, id in ipairs(old) do
    local row = redis.call('HMGET', prefix .. id, 'unique_key', 'group')
    unlock(base, lock_of(row[1], row[2] and redis.call('HGET', prefix .. id, 'msg')), id)
  end
  trimmed = delete(KEYS[2], old)
  if trimmed > 0 then
    redis.pcall('INCRBY', KEYS[3], trimmed) -- pcall, because an error after the deletions would hide them
  end
end
return { #expired, trimmed, (#expired >= limit or excess > limit) and 1 or 0 }
