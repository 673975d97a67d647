-- Adds tasks without options: no lock, no group, no delay, and an id that was made for the request.
-- The fast path of `enqueue`.
-- KEYS  1 pending, 2 record of the queue's pause (only in Rota)
-- ARGV  1 prefix of the queue's task hashes, then for each task two: id, message (at most 1000 tasks)
-- Result: how many were added. A task whose id exists was added by an earlier sending of this request. Or an error if
--         the queue refuses producers (see `refusal`).
--! include clock_ns
if redis.call('HGET', KEYS[2], 'producers') then -- the function is defined in here to spare other calls its cost
--! include refusal
  local refused = refusal(KEYS[2], string.sub(ARGV[1], 1, -3) .. 'paused')
  if refused then
    return refused
  end
end
if #ARGV == 3 then -- most calls add one task, and need neither a list nor a second loop
  local key = ARGV[1] .. ARGV[2]
  if redis.call('EXISTS', key) == 0 then
    redis.call('LPUSH', KEYS[1], ARGV[2])
    redis.call('HSET', key, 'msg', ARGV[3], 'state', 'pending', 'pending_since', now_ns)
    return 1
  end
end
local fresh = {}
for i = 2, #ARGV, 2 do
  if redis.call('EXISTS', ARGV[1] .. ARGV[i]) == 0 then
    fresh[#fresh + 1] = ARGV[i]
  else
    -- `WAIT` covers only the writes of its own connection, so a repeated request has to write too.
    redis.call('HSET', ARGV[1] .. ARGV[i], 'rota_sent', ARGV[i])
  end
end
if #fresh > 0 then
  redis.call('LPUSH', KEYS[1], unpack(fresh)) -- the first write, so a key of the wrong type stops the script here
  local next = 1
  for i = 2, #ARGV, 2 do
    if ARGV[i] == fresh[next] then
      redis.call('HSET', ARGV[1] .. ARGV[i], 'msg', ARGV[i + 1], 'state', 'pending', 'pending_since', now_ns)
      next = next + 1
    end
  end
end
return #fresh
