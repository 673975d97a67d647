-- Adds tasks as `enqueue` does, but a repeated request is recognised also when its tasks are long over and deleted.
-- KEYS  1 pending, 2 scheduled, 3 memory of the sender (our own)
-- ARGV  as of `enqueue`. The token is the request's; the same sender sends its next request only after the reply.
-- Result: as of `enqueue`
-- The memory holds the last request and its replies for a day, so a sender that is cut off longer than that may double.
local known = redis.call('HGET', KEYS[3], ARGV[3])
if known then
  return cmsgpack.unpack(known)
end
local function add_all()
--! include enqueue
end
local replies = add_all()
if replies.err then
  return replies
end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], ARGV[3], cmsgpack.pack(replies))
redis.call('EXPIRE', KEYS[3], 86400)
return replies
