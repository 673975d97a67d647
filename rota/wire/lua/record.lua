-- Records a batch of outcomes of any kind in one queue.
--
-- 1. Check each task: its attempt must still hold it (see `standing`), and the keys for its outcome must have the right
--    type. Nothing is written before all tasks are checked.
-- 2. Remove each task from `active` and `lease`, store its new message, and carry out its outcome.
-- 3. Count.
--
-- KEYS  1 active, 2 lease, 3 pending, 4 scheduled, 5 retry, 6 archived, 7 completed
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 most bytes of the attempts of a task,
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
--! include count
--! include end
--! include standing
local WIDTH, FIRST, room = 11, 5, tonumber(ARGV[4])
local queue = { base = ARGV[1], channel = ARGV[3], archived = KEYS[6], completed = KEYS[7] }
local items, refused = {}, {}

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

for i = FIRST, #ARGV, WIDTH do
  local key = ARGV[2] .. ARGV[i]
  local row = redis.call('HMGET', key, 'rota_token', 'state', 'rota_wait', 'msg', 'rota_cancel', 'rota_unique',
    'unique_key', 'rota_attempts')
  local code = standing(row, ARGV[i + 1], ARGV[i + 2], redis.call('ZSCORE', KEYS[2], ARGV[i]))
  if code == 0 then
    check(ARGV[i + 3])
    if row[5] and ARGV[i + 3] == 'retry' then check('archive') end
    items[#items + 1] = {
      id = ARGV[i], key = key, kind = ARGV[i + 3], seconds = tonumber(ARGV[i + 5]),
      new_msg = ARGV[i + 4] ~= '' and ARGV[i + 4], counts = ARGV[i + 6] == '1', text = ARGV[i + 7],
      ending = ARGV[i + 8], trace = ARGV[i + 9],
      attempt = ARGV[i + 10],
      waited = row[3], msg = row[4], cancel = row[5], scoped = row[6], unique_key = row[7], attempts = row[8],
    }
  else
    refused[#refused + 1] = (i - FIRST) / WIDTH
    refused[#refused + 1] = code
  end
end

local function move(item, state, set, score)
  redis.call('ZADD', set, string.format('%.6f', score), item.id)
  local fields = item.fields
  fields[#fields + 1], fields[#fields + 2] = 'state', state
  redis.call('HSET', item.key, unpack(fields))
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

-- From the last task to the first, so that requeued tasks are in their old order again.
for i = #items, 1, -1 do
  local item = items[i]
  redis.call('LREM', KEYS[1], -1, item.id)
  redis.call('ZREM', KEYS[2], item.id)
  local fields = {} -- stored with the state in one call, because each call costs the server a microsecond
  if item.new_msg then
    fields[1], fields[2] = 'msg', item.new_msg
  end
  if item.trace ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'rota_traceback', item.trace
  end
  if item.attempt ~= '' and room > 0 then
    fields[#fields + 1], fields[#fields + 2] = 'rota_attempts', with_attempt(item.attempts, item.attempt, room)
  end
  item.fields = fields
  if item.trace == '' and (item.kind == 'retry' or item.kind == 'archive') then
    redis.call('HDEL', item.key, 'rota_traceback') -- the traceback of an earlier failure
  end
  record[item.kind](item)
end
count(ARGV[1], processed, failed)
return refused
