-- Joins calls into one run, which starts `wait` after the last call, but at most `max_wait` after the first call.
-- KEYS  1 pending, 2 scheduled, 3 record of the queue's pause (only in Rota)
-- ARGV  1 prefix of the queue's task hashes, 2 id, 3 message, 4 lock, 5 wait in seconds,
--       6 longest wait in seconds ("" for no limit),
--       7 explicit ("" for none): which of timeout and max_retry the caller gave although they are Asynq's defaults
-- Result: the state if a new task was added, else { "replaced", id, state }: that task has the new message now; or
--         { "created", id, state }: an earlier sending of this request added the task
-- Or an error if the queue refuses producers (see `refusal`).
-- The id was made for this request, so it identifies the writes of an earlier sending.
-- The lock has the scope `queued`: a worker that takes the task releases it, so a call during the run adds a new task.
--! include clock
--! include time_score
--! include holder
--! include sent
--! include renew
--! include refusal
local refused = refusal(KEYS[3], string.sub(ARGV[1], 1, -3) .. 'paused')
if refused then
  return refused
end
local prefix, id, msg, lock = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('LLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
if redis.call('EXISTS', prefix .. id) == 1 then
  redis.call('HSET', prefix .. id, 'rota_sent', id) -- `WAIT` covers the writes of its own connection, so write again
  return { 'created', id, redis.call('HGET', prefix .. id, 'state') or '' }
end
local other, state = holder(lock, prefix)
if other and was_sent(prefix .. other, id) then
  redis.call('HSET', prefix .. other, 'rota_sent', id)
  return { 'replaced', other, state }
end
local function note_explicit(key)
  if ARGV[7] ~= '' then
    redis.call('HSET', key, 'rota_explicit', ARGV[7])
  end
end
local first = other and tonumber(redis.call('HGET', prefix .. other, 'rota_first') or now) or now
local at = now + tonumber(ARGV[5])
if ARGV[6] ~= '' then
  at = math.min(at, first + tonumber(ARGV[6]))
end
local score = time_score(at)

if state == 'pending' or state == 'scheduled' then
  local key = prefix .. other
  if state == 'scheduled' then
    redis.call('ZADD', KEYS[2], 'XX', score, other)
  end
  renew(key, other, msg, id)
  note_explicit(key)
  return { 'replaced', other, state }
end
redis.call('SET', lock, id)
redis.call('HSET', prefix .. id, 'msg', msg, 'state', 'scheduled', 'unique_key', lock, 'rota_unique', 'queued',
  'rota_first', string.format('%.6f', now))
note_explicit(prefix .. id)
redis.call('ZADD', KEYS[2], score, id)
return 'scheduled'
