-- Records a batch of outcomes of one queue, of any kind.
--
-- KEYS  1 active, 2 lease, 3 pending, 4 scheduled, 5 retry, 6 archived, 7 completed
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, then for each task ten:
--       id, attempt token, expected message ("" = do not compare), kind, new message ("" = keep),
--       seconds (delay or retention), counts (1 or 0), text (result, error, or reason), end ("" or cancelled, ...),
--       traceback ("" none)
-- Kinds: done      delete             complete  keep until `seconds` have passed
--        retry     again in `seconds` archive   give up
--        requeue   back to the front of the line, nothing counted
--        postpone  back to `scheduled` for `seconds`, nothing counted
-- Result: { index, code, ... } of the tasks that were not recorded now (codes in `standing`), empty when all were.
--! include clock
--! include count
--! include field
--! include unlock
--! include announce
--! include standing
local WIDTH = 10
local items, refused = {}, {}

-- Each place asked once for its error, before the first write.
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

for i = 4, #ARGV, WIDTH do
  local key = ARGV[2] .. ARGV[i]
  local row = redis.call('HMGET', key, 'rota_token', 'state', 'rota_wait', 'msg', 'rota_cancel', 'rota_unique',
    'unique_key')
  local code = standing(row, ARGV[i + 1], ARGV[i + 2], redis.call('ZSCORE', KEYS[2], ARGV[i]))
  if code == 0 then
    check(ARGV[i + 3])
    if row[5] and ARGV[i + 3] == 'retry' then check('archive') end
    items[#items + 1] = {
      id = ARGV[i], key = key, kind = ARGV[i + 3], msg = ARGV[i + 4], seconds = tonumber(ARGV[i + 5]),
      counts = ARGV[i + 6] == '1', text = ARGV[i + 7], ending = ARGV[i + 8],
      trace = ARGV[i + 9],
      waited = row[3], cancel = row[5], scope = row[6], lock = lock_of(row[7], row[4]),
    }
  else
    refused[#refused + 1] = (i - 4) / WIDTH
    refused[#refused + 1] = code
  end
end

local function move(item, state, set, score)
  redis.call('ZADD', set, string.format('%.6f', score), item.id)
  redis.call('HSET', item.key, 'state', state)
end

local processed, failed = 0, 0
local record = {}

function record.done(item)
  unlock(ARGV[1], item.lock, item.id)
  redis.call('DEL', item.key)
  processed = processed + 1
end

function record.complete(item)
  unlock(ARGV[1], item.lock, item.id)
  move(item, 'completed', KEYS[7], math.floor(now) + item.seconds)
  if item.text ~= '' then redis.call('HSET', item.key, 'result', item.text) end
  processed = processed + 1
end

function record.archive(item)
  move(item, 'archived', KEYS[6], math.floor(now))
  if item.ending ~= '' then
    redis.call('HSET', item.key, 'rota_end', item.ending)
  else
    redis.call('HDEL', item.key, 'rota_end') -- left by an earlier end, if Go's inspector ran the task again
  end
  -- Asynq keeps the lock of an archived task until its time runs out; our own scopes end here.
  if item.scope or item.ending == 'cancelled' then unlock(ARGV[1], item.lock, item.id) end
  processed = processed + 1
  if item.ending ~= 'cancelled' then failed = failed + 1 end
end

function record.retry(item)
  if item.cancel then
    -- Asked to stop while it failed: it ends as cancelled instead of coming back.
    item.kind, item.ending, item.text = 'archive', 'cancelled', item.cancel
    return record.archive(item)
  end
  move(item, 'retry', KEYS[5], now + item.seconds)
  if item.counts then processed, failed = processed + 1, failed + 1 end
end

function record.requeue(item)
  redis.call('RPUSH', KEYS[3], item.id)
  redis.call('HSET', item.key, 'state', 'pending', 'pending_since', now_ns)
end

function record.postpone(item)
  move(item, 'scheduled', KEYS[4], now + item.seconds)
end

local function tell(item)
  if item.kind == 'done' then
    announce(ARGV[3] .. item.id, item.ending ~= '' and item.ending or 'completed', item.text)
  elseif item.kind == 'complete' then
    announce(ARGV[3] .. item.id, 'completed', item.text)
  elseif item.kind == 'archive' then
    announce(ARGV[3] .. item.id, item.ending == 'cancelled' and 'cancelled' or 'archived', item.text)
  end
end

-- From the end on, so that what goes back is in its old order again.
for i = #items, 1, -1 do
  local item = items[i]
  redis.call('LREM', KEYS[1], -1, item.id)
  redis.call('ZREM', KEYS[2], item.id)
  if item.msg ~= '' then redis.call('HSET', item.key, 'msg', item.msg) end
  if item.trace ~= '' then
    redis.call('HSET', item.key, 'rota_traceback', item.trace)
  elseif item.kind == 'retry' or item.kind == 'archive' then
    redis.call('HDEL', item.key, 'rota_traceback') -- of an earlier error
  end
  record[item.kind](item)
  if item.waited then tell(item) end
end
count(ARGV[1], processed, failed)
return refused
