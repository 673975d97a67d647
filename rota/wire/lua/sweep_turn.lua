-- Takes, keeps or gives up the turn to sweep some queues.
--
-- KEYS  1 the turn (our own)
-- ARGV  1 owner, 2 how long it is theirs from now in ms (0 = give it up)
-- Result: 1 if it is the owner's turn now
--! include turn
if ARGV[2] == '0' then
  if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
  end
  return 0
end
return my_turn(KEYS[1], ARGV[1], ARGV[2]) and 1 or 0
