-- Ends the deletion of a queue, if it is empty: deletes the last two keys, so that it can be used again.
--
-- KEYS  1 record of the pause (only in Rota), 2 paused, then the lists and sets in which tasks are
-- ARGV  1 id of this deletion
-- Result: 1 if the queue is gone, 0 if it got tasks meanwhile, or -1 if this deletion has ended
--! include deletion
if not is_current(KEYS[1], ARGV[1]) then
  return redis.call('EXISTS', unpack(KEYS)) == 0 and 1 or -1 -- gone: this request is sent again after a lost reply
end
if redis.call('EXISTS', unpack(KEYS, 3)) > 0 then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
