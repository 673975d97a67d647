-- Moves tasks of dead attempts to `pending`, to `retry` or to the archive.
--
-- KEYS  1 active, 2 lease, 3 retry, 4 archived, 5 pending, 6 counter of crashes (only in Rota),
--       7 counters of repairs (only in Rota)
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 seconds since a lease of Rota must have expired at least,
--       5 the same for a lease of Go, 6 crashes after which a task is quarantined,
--       7 members of the record of an attempt that has crashed (see `attempts`), 8 most bytes of the attempts of a task,
--       then for each task nine: id, message and attempt token as listed ("" = there was none), kind,
--       new message ("" = keep), delay in seconds, counts as a failure (1 or 0), text (error or reason),
--       end ("" or cancelled, ...)
-- Kinds: crash (uses no retry; see the fragment `crash`), retry, archive, drop (without a message the task cannot run
-- again)
-- Result for each task: 0 moved, 1 its lease was extended, 2 another worker moved it first, 3 dropped
-- Lease, message and token are compared again here. So two workers with the same list move each task once, and a worker
-- with an old list cannot change a newer attempt.
--! include hash
--! include time_score
--! include whose
--! include crash
local WIDTH, FIRST = 9, 9
local base, prefix = ARGV[1], ARGV[2]
local queue = {
  active = KEYS[1], lease = KEYS[2], pending = KEYS[5], archived = KEYS[4],
  base = base, prefix = prefix, channel = ARGV[3], crashes = tonumber(ARGV[6]),
  died = ARGV[7], room = tonumber(ARGV[8]),
}
local processed, failed = 0, 0

local function leave_active(id)
  redis.call('LREM', KEYS[1], 0, id)
  redis.call('ZREM', KEYS[2], id)
end

-- Removes a lease without an active task: the hash is gone, or lacks a message because Asynq's dequeue wrote to a hash
-- that was gone (trap 16 in docs/asynq-differences.md), or the task was moved and only its lease was left.
local function drop(id, row)
  leave_active(id)
  if row[3] == 'active' and not row[1] then
    redis.call('DEL', prefix .. id)
  end
  return 3
end

-- A message that was too large to be listed is not compared: token and lease are sufficient to identify the attempt.
local function same(message, item)
  return message == item.expected or item.expected == ''
end

-- Adds the failure to a message that was too large to be listed, as `with_failure` in Python does: of a protobuf field
-- that occurs twice the last one counts. Without retries left the task is archived.
local function fail_unread(item, msg)
  local retried, most = field(msg, 6) or 0, field(msg, 5) or 0
  item.msg = with_error(msg, item.text)
  if item.kind == 'retry' and retried < most then
    item.msg = item.msg .. '\48' .. encoded_varint(retried + 1)
  else
    item.kind = 'archive'
  end
end

local function settle(item)
  local score = redis.call('ZSCORE', KEYS[2], item.id)
  if not score then
    return 2
  elseif tonumber(score) > now - tonumber(is_ours(score) and ARGV[4] or ARGV[5]) then
    return 1
  end
  local row = hash(item.key, 'msg', 'rota_token', 'state', 'rota_wait', 'rota_unique', 'unique_key',
    'rota_cancel')
  if not row[1] or row[3] ~= 'active' then
    return drop(item.id, row)
  elseif not same(row[1], item) or (row[2] or '') ~= item.token or item.kind == 'drop' then
    return 2
  end
  if item.kind == 'crash' then
    give_back(queue, item.id, { row[1], row[4], row[5], row[6], row[7] }, item.text)
    return 0
  end
  if item.expected == '' then
    fail_unread(item, row[1])
  end
  leave_active(item.id)
  -- The token is removed so that the attempt cannot record an outcome if it was only frozen and goes on.
  redis.call('HDEL', item.key, 'rota_token')
  if item.msg ~= '' then
    redis.call('HSET', item.key, 'msg', item.msg)
  end
  if item.kind == 'archive' then
    local task = held_task(queue, item.id, { row[1], row[4], row[5], row[6] })
    archive_task(queue, task, item.ending, item.text)
  else
    redis.call('ZADD', KEYS[3], time_score(now + item.delay), item.id)
    redis.call('HSET', item.key, 'state', 'retry')
  end
  if item.counts then
    processed, failed = processed + 1, failed + 1
  elseif item.kind == 'archive' then
    processed = processed + 1
  end
  return 0
end

-- Reads that fail on a key of the wrong type, before the first write.
redis.call('LLEN', KEYS[1])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
redis.call('LLEN', KEYS[5])
redis.call('HLEN', KEYS[7])
local codes, repaired = {}, { [0] = 0, [3] = 0 }
for i = FIRST, #ARGV, WIDTH do
  codes[#codes + 1] = settle({
    id = ARGV[i], key = prefix .. ARGV[i], expected = ARGV[i + 1], token = ARGV[i + 2], kind = ARGV[i + 3],
    msg = ARGV[i + 4], delay = tonumber(ARGV[i + 5]), counts = ARGV[i + 6] == '1', text = ARGV[i + 7],
    ending = ARGV[i + 8],
  })
  local code = codes[#codes]
  repaired[code] = repaired[code] and repaired[code] + 1
end
count_given_back(queue, KEYS[6], processed, failed)
for code, name in pairs({ [0] = 'expired_lease', [3] = 'stray_lease' }) do
  if repaired[code] > 0 then
    redis.call('HINCRBY', KEYS[7], name, repaired[code])
  end
end
return codes
