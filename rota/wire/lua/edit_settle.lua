-- Lets the sets of tasks that have arrived expire soon (see `edit_put`). They stay for some minutes, because another
-- program may be in the middle of the same move.
-- KEYS  1 pending, only to choose the node
-- ARGV  1 prefix of the sets, 2 seconds, then the names of the sets
-- Result: nothing
for i = 3, #ARGV do
  redis.call('EXPIRE', ARGV[1] .. ARGV[i], ARGV[2])
end
