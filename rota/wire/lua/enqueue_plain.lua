-- Adds tasks that run as soon as possible and want nothing else: no lock, no group, no delay, an id made for them.
-- The fast path of `enqueue`. It is sent for each lone task, so it does by itself what `once` does, with one command.
-- KEYS  1 pending, 2 memory of the sender (our own)
-- ARGV  1 prefix of the queue's task hashes, then for each task two: id, message (at most 1000 tasks),
--       then the number of this request, and for how many seconds it is remembered
-- Result: how many were added; an id that is there already is left alone
--! include clock
local number, life = ARGV[#ARGV - 1], ARGV[#ARGV]
-- Asked for its error: a key of another type must stop the script before the first write.
redis.call('LLEN', KEYS[1])
local last = redis.call('SET', KEYS[2], number, 'EX', life, 'GET')
if last and last >= number then
  redis.call('SET', KEYS[2], last, 'EX', life)
  if string.sub(last, 1, #number) == number then
    return (#ARGV - 3) / 2
  end
  return redis.error_reply('ERR this request comes late: its sender has sent another one since')
end
local fresh = {}
for i = 2, #ARGV - 2, 2 do
  local key = ARGV[1] .. ARGV[i]
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'msg', ARGV[i + 1], 'state', 'pending', 'pending_since', now_ns)
    fresh[#fresh + 1] = ARGV[i]
  end
end
if #fresh > 0 then
  redis.call('LPUSH', KEYS[1], unpack(fresh))
end
return #fresh
