-- Records a batch of outcomes of any kind in one queue.
--
-- 1. Check each task: its attempt must still hold it (see `standing`), and the keys for its outcome must have the right
--    type. Nothing is written before all tasks are checked.
-- 2. Remove each task from `active` and `lease`, store its new message, and carry out its outcome.
-- 3. Count. The counts by minute are added only if no task is refused, because they are those of the whole batch.
--
-- KEYS  1 active, 2 lease, 3 pending, 4 scheduled, 5 retry, 6 archived, 7 completed
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 most bytes of the attempts of a task,
--       5 prefix of the keys of minutes, 6 number of words of the counts, then these words (see `minute`),
--       then for each task eleven:
--       id, attempt token, expected message ("" = do not compare), kind, new message ("" = keep),
--       seconds (delay or retention), counts (1 or 0), text (result, error, or reason), end ("" or cancelled, ...),
--       traceback ("" none), record of the attempt ("" none; see `attempts`)
-- Kinds: done      delete the task             complete  keep it for `seconds`
--        retry     run it again in `seconds`   archive   archive it
--        requeue   put it back to the front of the queue; nothing is counted
--        postpone  put it into `scheduled` for `seconds`; nothing is counted
-- Result: { index, code, ... } of the tasks that were not recorded now (codes in `standing`), empty if all were.
--! include attempts
--! include time_score
--! include count
--! include deactivate
--! include end
--! include open_minute
--! include standing
local WIDTH, FIRST, room = 11, 7 + tonumber(ARGV[6]), tonumber(ARGV[4])
local queue = { base = ARGV[1], channel = ARGV[3], archived = KEYS[6], completed = KEYS[7] }
local items, ids, all_ids, refused = {}, {}, {}, {}

-- A read of each target key, which fails on a key of the wrong type. Each runs once, before the first write.
local ASK = {
  complete = { 'ZCARD', KEYS[7] }, archive = { 'ZCARD', KEYS[6] }, requeue = { 'LLEN', KEYS[3] },
  retry = { 'ZCARD', KEYS[5] }, postpone = { 'ZCARD', KEYS[4] },
}
local function check(kind)
  if ASK[kind] then
    redis.call(unpack(ASK[kind]))
    ASK[kind] = nil
  end
end

-- The fields to store with the new state in one call, because each call costs the server a microsecond.
local function fields_of(i, attempts)
  local fields, traced, attempt = {}, ARGV[i + 9] ~= '', ARGV[i + 10]
  if ARGV[i + 4] ~= '' then
    fields[1], fields[2] = 'msg', ARGV[i + 4]
  end
  if attempt ~= '' and room > 0 then
    fields[#fields + 1], fields[#fields + 2] = 'rota_attempts', with_attempt(attempts, attempt, room)
  end
  if traced then
    fields[#fields + 1], fields[#fields + 2] = 'rota_traceback', ARGV[i + 9]
  end
  return fields, traced
end

for i = FIRST, #ARGV, WIDTH do
  all_ids[#all_ids + 1] = ARGV[i]
end
if #all_ids == 0 then return refused end
local leases = redis.call('ZMSCORE', KEYS[2], unpack(all_ids))
for number, id in ipairs(all_ids) do
  local i, key = FIRST + WIDTH * (number - 1), ARGV[2] .. id
  local row = redis.call('HMGET', key, 'rota_token', 'state', 'rota_wait', 'msg', 'rota_cancel', 'rota_unique',
    'unique_key', 'rota_attempts')
  local code = standing(row, ARGV[i + 1], ARGV[i + 2], leases[number])
  if code == 0 then
    check(ARGV[i + 3])
    if row[5] and ARGV[i + 3] == 'retry' then check('archive') end
    local fields, traced = fields_of(i, row[8])
    ids[#ids + 1] = id
    -- Not more than 16 members: for the 17th, Lua would move all of them to a larger table.
    items[#items + 1] = {
      id = id, key = key, kind = ARGV[i + 3], seconds = tonumber(ARGV[i + 5]),
      counts = ARGV[i + 6] == '1', text = ARGV[i + 7], ending = ARGV[i + 8], fields = fields, traced = traced,
      waited = row[3], msg = row[4], cancel = row[5], scoped = row[6], unique_key = row[7],
    }
  else
    refused[#refused + 1] = number - 1
    refused[#refused + 1] = code
  end
end

local function move(item, state, set, score)
  redis.call('ZADD', set, time_score(score), item.id)
  redis.call('HSET', item.key, 'state', state, unpack(item.fields))
end

local processed, failed = 0, 0
local record = {}

function record.done(item)
  delete_task(queue, item, item.ending ~= '' and item.ending or 'completed', item.text)
  processed = processed + 1
end

function record.complete(item)
  complete_task(queue, item, item.seconds, item.text, item.fields)
  processed = processed + 1
end

function record.archive(item)
  if #item.fields > 0 then
    redis.call('HSET', item.key, unpack(item.fields))
  end
  archive_task(queue, item, item.ending, item.text)
  processed = processed + 1
  if item.ending ~= 'cancelled' then failed = failed + 1 end
end

function record.retry(item)
  if item.cancel then
    -- The task failed and was also asked to be cancelled, so it is archived instead of retried.
    item.ending, item.text = 'cancelled', item.cancel
    return record.archive(item)
  end
  move(item, 'retry', KEYS[5], now + item.seconds)
  if item.counts then processed, failed = processed + 1, failed + 1 end
end

function record.requeue(item)
  redis.call('RPUSH', KEYS[3], item.id)
  redis.call('HSET', item.key, 'state', 'pending', 'pending_since', now_ns, unpack(item.fields))
end

function record.postpone(item)
  move(item, 'scheduled', KEYS[4], now + item.seconds)
end

if #ids > 0 then deactivate(KEYS[1], KEYS[2], ids) end
-- From the last task to the first, so that requeued tasks are in their old order again.
for i = #items, 1, -1 do
  local item = items[i]
  if not item.traced and (item.kind == 'retry' or item.kind == 'archive') then
    redis.call('HDEL', item.key, 'rota_traceback') -- the traceback of an earlier failure
  end
  record[item.kind](item)
end
count(ARGV[1], processed, failed)
if #refused == 0 then count_minute(ARGV[5], begin_minute, counts_of_words(6)) end
return refused
