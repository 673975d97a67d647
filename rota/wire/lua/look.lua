-- Reads everything about one task.
-- KEYS  1 hash of the task
-- ARGV  1 prefix of the queue's keys, 2 id
-- Result: false if the task is gone, else { fields and values of the hash, score in its set ("" none), lease ("" none),
--         Redis time in seconds }
local row = redis.call('HGETALL', KEYS[1])
if #row == 0 then
  return false
end
local state, score, lease = redis.call('HGET', KEYS[1], 'state'), false, false
if state == 'scheduled' or state == 'retry' then
  score = redis.call('ZSCORE', ARGV[1] .. state, ARGV[2])
elseif state == 'active' then
  lease = redis.call('ZSCORE', ARGV[1] .. 'lease', ARGV[2])
end
return { row, score or '', lease or '', redis.call('TIME')[1] }
