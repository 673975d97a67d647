-- Carries a request out once, however often it is sent. The body is the script of any call.
-- KEYS  those of the body, then the memory of the sender (our own)
-- ARGV  those of the body, then the number of this request (text of a fixed width), and for how many seconds it is
--       remembered
-- Result: that of the body; for a request that was sent again, what was answered then
-- A sender sends one request after the other, under rising numbers, so its last one is all there is to remember. A lower
-- number comes late, over a connection that was given up: its sender has gone on, and it must not be carried out now.
local life, number = table.remove(ARGV), table.remove(ARGV)
local memory = table.remove(KEYS)
local known = redis.call('GET', memory)
if known and known >= number then
  if string.sub(known, 1, #number) ~= number then
    return redis.error_reply('ERR this request comes late: its sender has sent another one since')
  end
  -- `WAIT` counts from the last write of its connection (Valkey, Redis from 7.2 on), and this one may be new: without a
  -- write it would answer at once. `PEXPIRE`, since a producer has that right and a full memory does not refuse it.
  redis.call('PEXPIRE', memory, life * 1000)
  local count, reply = cmsgpack.unpack(string.sub(known, #number + 1))
  if count == 0 then
    return reply
  end
  local replies = {}
  for i = 1, count do
    replies[i] = reply
  end
  return replies
end
local function act()
--! body
end
local reply = act()
if type(reply) == 'table' and reply.err then
  return reply -- nothing was carried out
end
-- A thousand tasks that are all pending are remembered as one word.
local count, word = 0, reply
if type(reply) == 'table' and type(reply[1]) == 'string' then
  count, word = #reply, reply[1]
  for i = 2, count do
    if reply[i] ~= word then
      count, word = 0, reply
      break
    end
  end
end
redis.call('SET', memory, number .. cmsgpack.pack(count, word), 'EX', life)
return reply
