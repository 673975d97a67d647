-- Replaces the records of one server and of its running tasks.
--
-- KEYS  1 server record, 2 hash of its running tasks
-- ARGV  1 seconds to live, 2 server record, then for each running task two: id, its record
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1])
redis.call('DEL', KEYS[2])
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
