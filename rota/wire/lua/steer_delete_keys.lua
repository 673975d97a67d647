-- Deletes some keys of a queue that is being deleted, whatever they contain.
--
-- KEYS  1 record of the pause (only in Rota)
-- ARGV  1 id of this deletion, then the keys (at most 500). Their names may have any bytes.
-- Result: number of deleted keys, or -1 if this deletion has ended
--! include deletion
if not is_current(KEYS[1], ARGV[1]) then
  return -1
end
return redis.call('UNLINK', unpack(ARGV, 2))
