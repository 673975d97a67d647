-- Takes up to N tasks from one or several queues of one node, and promotes due tasks first.
--
-- 1. Look at each queue: promote due tasks, check its keys, and count the tasks that can be taken.
-- 2. Take from each queue its share. The types in `spared` stay in the queue, and large messages may fill the reply.
-- 3. Take the rest of the total from queues that have more, in their order.
--
-- KEYS  for each queue six: pending, active, lease, paused, scheduled, retry
-- ARGV  1 attempt token, 2 lease in seconds, 3 most tasks in all,
--       4 crashes at which a task has its last chance (0: do not check), 5 how many such tasks may be taken (0 or 1),
--       6 for how many seconds after it became pending a task of a spared type stays in the queue,
--       7 most bytes of messages in the reply (one task is always taken, however large),
--       then for each queue three: key base, task key prefix, share of the total to be taken first,
--       then the spared types: types that this worker cannot run, so that another worker can take their tasks
-- Result: { Redis time in seconds (text), one list for each queue }, where each list is
--   { state: 0 empty, 1 more is waiting, 2 paused, 3 broken, 4 all that is left is spared;
--     next due time (text, "" for none);
--     { id, msg, id, msg, ... };  { index of task, cancel reason or "", crashes or "", explicit or "", ... };
--     { dangling ids }; { microseconds that each task has waited; negative if that is not known,
--       or if the clock of a Go client is ahead };
--     and for a broken queue, the key of the wrong type: nothing is taken from it, but the other queues are served }
-- An id whose hash is gone is dropped. (Asynq turns it into a hash without a message, which is active for ever: trap 16
-- in docs/asynq-differences.md.)
-- One more crash quarantines a task that has its last chance. So a process runs at most one of them, because a crash by
-- one would quarantine the other too. A task that cannot be taken for this reason is rescheduled for a little later.
--! include promote
--! include time_score
--! include spare
--! include whose
local token, wanted = ARGV[1], tonumber(ARGV[3])
-- As text, because Redis would convert a number again for each task.
local lease_until = string.format('%.1f', lease_end(now, tonumber(ARGV[2])))
local last_chance, room = tonumber(ARGV[4]), tonumber(ARGV[5])
local now_us = now * 1000000
local most_bytes, bytes, full = tonumber(ARGV[7]), 0, false
local PUT_OFF_SECONDS = 2

local queues = #KEYS / 6
local spare = sparing({ unpack(ARGV, 3 * queues + 8) }, tonumber(ARGV[6]))

-- Redis stores a small sorted set as a list, which each insert searches from its start: 4 µs for each of 50 leases. A
-- member of more than 64 bytes converts it to a skip list, and it stays one after that member is removed. So this
-- member is added with the leases and then removed.
local WIDE = string.rep('-', 65)

local function due(key, base, prefix)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= now then
    promote(key, base, prefix, now, now_ns, 100)
    first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  end
  return first[2]
end

local function earliest(a, b)
  if not a or not b then return a or b or '' end
  if a == '' then return b end
  return tonumber(a) < tonumber(b) and a or b
end

local function must_wait(row)
  local crashes, cancelled = row[4], row[2]
  if not crashes or last_chance == 0 or (tonumber(crashes) or 0) < last_chance or cancelled then return false end
  room = room - 1
  return room < 0
end

local function waited_us(pending_since)
  local since = tonumber(pending_since)
  return since and now_us - since / 1000 or -1
end

local function put_off(set, id, key, out)
  local at = time_score(now + PUT_OFF_SECONDS)
  redis.call('ZADD', set, at, id)
  redis.call('HSET', key, 'state', 'scheduled')
  redis.call('HDEL', key, 'pending_since')
  out[2] = earliest(out[2], at)
end

-- Returns when the next task is due, how many tasks can be taken now, and whether the queue is paused. Reads each key
-- before a task of any queue is taken, because an error later would hide from the worker which tasks it has taken.
local function look(k, base, prefix)
  local next_due = earliest(due(KEYS[k + 4], base, prefix), due(KEYS[k + 5], base, prefix))
  if redis.call('EXISTS', KEYS[k + 3]) == 1 then return next_due, 0, true end
  local waiting = redis.call('LLEN', KEYS[k])
  if waiting > 0 then
    redis.call('LLEN', KEYS[k + 1])
    redis.call('ZCARD', KEYS[k + 2])
  end
  return next_due, waiting
end

local COUNTS = { 'LLEN', 'LLEN', 'ZCARD', 'EXISTS', 'ZCARD', 'ZCARD' }
local function culprit(k, base)
  for i, count in ipairs(COUNTS) do
    if type(redis.pcall(count, KEYS[k + i - 1])) == 'table' then return KEYS[k + i - 1] end
  end
  return base .. 'groups, or one of a group'
end

-- Removes at most `n` ids from the list, not counting spared tasks, which stay.
-- Returns how many tasks were taken, how many ids were removed, and how many of the ids that it looked at stay.
local function take(k, base, prefix, n, out)
  local ids = spare and spare.ids(KEYS[k], n) or redis.call('LRANGE', KEYS[k], -n, -1)
  local found, keys, rows, leases, taken = {}, {}, {}, { lease_until, WIDE }, 0
  local gone, removed, stay = {}, 0, 0
  for i = #ids, 1, -1 do
    if removed == n then break end
    local id, key = ids[i], prefix .. ids[i]
    local row = hash(key, 'msg', 'rota_cancel', 'rota_unique', 'rota_crashes', 'rota_explicit', 'pending_since')
    local stays_until = spare and spare.stays_until(row, key)
    if stays_until then
      out[2] = earliest(out[2], string.format('%.6f', stays_until))
      stay = stay + 1
    elseif row[1] and bytes > 0 and bytes + #row[1] > most_bytes then
      full = true
      break
    else
      removed = removed + 1
      gone[removed] = id
      if not row[1] then
        out[5][#out[5] + 1] = id
      elseif must_wait(row) then
        put_off(KEYS[k + 4], id, key, out)
      else
        taken = taken + 1
        found[taken], keys[taken], rows[taken] = id, key, row
        bytes = bytes + #row[1]
      end
    end
  end
  if stay == 0 then
    redis.call('LTRIM', KEYS[k], 0, -(removed + 1))
  else
    spare.remove(KEYS[k], gone)
  end
  if taken == 0 then return 0, removed, stay end
  redis.call('LPUSH', KEYS[k + 1], unpack(found))
  local tasks, notes, waits = out[3], out[4], out[6]
  local before, since, waited = #waits, nil, -1
  for i, id in ipairs(found) do
    local key, row = keys[i], rows[i]
    redis.call('HSET', key, 'state', 'active', 'rota_token', token)
    redis.call('HDEL', key, 'pending_since')
    -- A lock with the scope `queued` is released when its task is taken.
    if row[3] == 'queued' then unlock(base, redis.call('HGET', key, 'unique_key'), id) end
    if row[2] or row[4] or row[5] then
      notes[#notes + 1] = before + i - 1
      notes[#notes + 1] = row[2] or ''
      notes[#notes + 1] = row[4] or ''
      notes[#notes + 1] = row[5] or ''
    end
    if row[6] ~= since then -- tasks that were enqueued or promoted together have the same text, which is read once
      since, waited = row[6], waited_us(row[6])
    end
    waits[before + i] = waited
    leases[2 * i + 1], leases[2 * i + 2] = lease_until, id
    tasks[2 * (before + i) - 1], tasks[2 * (before + i)] = id, row[1]
  end
  redis.call('ZADD', KEYS[k + 2], unpack(leases))
  redis.call('ZREM', KEYS[k + 2], WIDE)
  return taken, removed, stay
end

local reply, left, staying, stuck = { string.format('%.6f', now) }, {}, {}, {}
for q = 1, queues do
  local k, base = 6 * q - 5, ARGV[3 * q + 5]
  local done, next_due, waiting, paused = pcall(look, k, base, ARGV[3 * q + 6])
  staying[q] = 0
  if done then
    reply[q + 1], left[q] = { paused and 2 or 0, next_due, {}, {}, {}, {} }, waiting
  else
    local text = type(next_due) == 'table' and next_due.err or tostring(next_due)
    -- A key of the wrong type concerns this one queue. Any other error (no permission, a replica) concerns the call.
    if not string.find(text, 'WRONGTYPE', 1, true) then return redis.error_reply(text) end
    reply[q + 1], left[q] = { 3, '', {}, {}, {}, {}, culprit(k, base) }, 0
  end
end
-- Round 1 takes the share of each queue. Round 2 gives what was not used to the other queues, in their order.
for round = 1, 2 do
  for q = 1, queues do
    local k, out, share = 6 * q - 5, reply[q + 1], round == 1 and tonumber(ARGV[3 * q + 7]) or wanted
    local n = math.min(share, wanted)
    if n > 0 and not full and left[q] > staying[q] then
      local taken, gone, stay = take(k, ARGV[3 * q + 5], ARGV[3 * q + 6], n, out)
      wanted, left[q], staying[q], stuck[q] = wanted - taken, left[q] - gone, stay, gone == 0 and not full
    end
  end
end
for q = 1, queues do
  if stuck[q] or (staying[q] > 0 and left[q] == staying[q]) then
    reply[q + 1][1] = 4 -- every task looked at stays, so fetching again at once would take nothing
  elseif left[q] > 0 then
    reply[q + 1][1] = 1
  end
end
return reply
