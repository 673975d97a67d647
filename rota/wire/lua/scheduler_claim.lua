-- Claims a batch of runs of one shard: no other leader can claim them, and the leader must finish them.
--
-- KEYS  1 fence of the shard, 2 last planned times, 3 claims, 4 outbox (all only in Rota)
-- ARGV  1 epoch, 2 batch, 3 number of schedules, then for each schedule three: ID,
--       planned time in ms ("" = the last planned time stays), other state;
--       then the number of runs, for each run two: ID, claim; then run records for the outbox
-- Result: "" if all were claimed; if none was: the newer mark of the shard, or the ID of a schedule whose last planned
--         time is not before the given one, after a '!'
-- All schedules are checked before the first write. The state of a schedule is '<last planned ms> <other state>'.
--! include scheduler_fence
local epoch, batch = tonumber(ARGV[1]), tonumber(ARGV[2])
local mark = redis.call('GET', KEYS[1])
if not is_newer(mark, epoch, batch) then
  return mark
end
local at, states = 4, {}
for _ = 1, tonumber(ARGV[3]) do
  local id, planned = ARGV[at], ARGV[at + 1]
  local stored = redis.call('HGET', KEYS[2], id)
  local last = stored and string.match(stored, '^%-?%d+') or ''
  if planned == '' then
    planned = last == '' and '0' or last
  elseif last ~= '' and tonumber(planned) <= tonumber(last) then
    return '!' .. id
  end
  states[#states + 1] = { id, planned .. ' ' .. ARGV[at + 2] }
  at = at + 3
end
redis.call('HLEN', KEYS[3]) -- reads that fail on a key of the wrong type, before the first write
redis.call('LLEN', KEYS[4])
redis.call('SET', KEYS[1], mark_of(epoch, batch))
for _, state in ipairs(states) do
  redis.call('HSET', KEYS[2], state[1], state[2])
end
local runs = tonumber(ARGV[at])
at = at + 1
for _ = 1, runs do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for i = at, #ARGV do
  redis.call('RPUSH', KEYS[4], ARGV[i])
end
return ''
