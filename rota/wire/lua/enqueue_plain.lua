-- Adds tasks that run as soon as possible and want nothing else: no lock, no group, no delay, an id made for them.
-- The fast path of `enqueue`.
-- KEYS[1] pending
-- ARGV[1] prefix of the queue's task hashes, then for each task two: id, message. At most 1000 tasks.
-- Result: how many were added. An id that is there already is left alone.
--! include clock
-- Asked for its error: a key of another type must stop the script before the first write.
redis.call('LLEN', KEYS[1])
local fresh = {}
for i = 2, #ARGV, 2 do
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
