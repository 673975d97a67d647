-- Elects the scheduler that leads, extends its lease, or ends it.
--
-- KEYS  1 lease: ID of the leader, 2 epoch: the fencing number of the last election (both only in Rota)
-- ARGV  1 ID of the scheduler, 2 ms from now for which it leads (0 = it resigns), 3 the epoch must be greater than this
-- Result: { epoch (0 = another one leads), Redis time in seconds (text), ID of the leader ("" after it resigned) }
-- Each election takes a greater epoch. It is at least the time in ms, so that it grows also after the server lost its
-- data, because queues on other nodes of a Cluster still know the epochs of before.
--! include clock
local holder = redis.call('GET', KEYS[1])
local time = string.format('%.6f', now)
if ARGV[2] == '0' then
  if holder == ARGV[1] then
    redis.call('DEL', KEYS[1])
  end
  return { 0, time, '' }
end
if holder and holder ~= ARGV[1] then
  return { 0, time, holder }
end
local epoch, floor = tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[3])
if not holder or epoch <= floor then
  epoch = math.max(epoch + 1, floor + 1, math.floor(now * 1000))
  redis.call('SET', KEYS[2], string.format('%d', epoch))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { epoch, time, ARGV[1] }
