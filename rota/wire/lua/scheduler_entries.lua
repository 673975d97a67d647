-- Writes the entries of one scheduler, as Asynq's schedulers do, or extends their life.
--
-- KEYS  1 list of entries
-- ARGV  1 seconds to live, then the entries (none: only the life is extended)
-- Result: 1 if the list exists
if #ARGV > 1 then
  redis.call('DEL', KEYS[1])
  for i = #ARGV, 2, -1 do -- Asynq pushes to the head; the first entry is pushed last, so that it is listed first
    redis.call('LPUSH', KEYS[1], ARGV[i])
  end
end
return redis.call('EXPIRE', KEYS[1], ARGV[1])
