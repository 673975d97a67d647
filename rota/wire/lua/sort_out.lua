-- Takes tasks out of an aggregation set: those that cannot be aggregated, or not by this aggregator.
--
-- KEYS  1 the set, 2 its group, 3 groups, 4 archived
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 name of the group,
--       then for each task four (at most 500 tasks): id, kind, new message ("" = keep), text
-- Kinds: back (to the group, as old as it was), archive (as a failure), drop (its hash is gone)
-- Result: tasks taken out. One that is not in the set any more stays where it is: the set was given up meanwhile.
--! include clock
--! include count
--! include field
--! include announce
--! include unlock
local base, prefix = ARGV[1], ARGV[2]
local taken, failed = 0, 0
-- Asked for their errors, before the first write.
redis.call('ZCARD', KEYS[2])
redis.call('SCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
for i = 5, #ARGV, 4 do
  local id, kind, key = ARGV[i], ARGV[i + 1], prefix .. ARGV[i]
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score then
    taken = taken + 1
    if kind == 'back' then
      redis.call('ZADD', KEYS[2], score, id)
      redis.call('SADD', KEYS[3], ARGV[4])
    elseif kind == 'archive' then
      local row = redis.call('HMGET', key, 'rota_wait', 'rota_unique', 'unique_key', 'msg')
      if row[2] then
        unlock(base, lock_of(row[3], row[4]), id)
      end
      if ARGV[i + 2] ~= '' then
        redis.call('HSET', key, 'msg', ARGV[i + 2])
      end
      redis.call('HSET', key, 'state', 'archived')
      redis.call('ZADD', KEYS[4], math.floor(now), id)
      failed = failed + 1
      if row[1] then
        announce(ARGV[3] .. id, 'archived', ARGV[i + 3])
      end
    end
    redis.call('ZREM', KEYS[1], id)
  end
end
count(base, failed, failed)
return taken
