-- Extends the leases of running attempts of one queue, by Redis' clock.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, 2 lease in seconds,
--       then for each attempt three: id, attempt token, expected message ("" = do not compare); at most 300 attempts
-- Result: { indices (from 0) of the attempts that have lost their task,
--           { index, reason, ... } of the attempts that are to be cancelled }
-- The token alone does not prove that the attempt still holds its task: a Go server that recovers a task keeps our
-- token in the hash. But after it has taken the task, the lease is Go's (see `whose`), and it has rewritten the
-- message.
-- An attempt that holds its task without a lease gets a lease again, because Asynq never recovers a task without one
-- (trap 17 in docs/asynq-differences.md).
--! include clock
--! include whose
local expires = lease_end(now, tonumber(ARGV[2]))

local leases, lost, cancelled = {}, {}, {}

local function held(id, token, expected, index)
  local row = redis.call('HMGET', ARGV[1] .. id, 'rota_token', 'state', 'rota_cancel')
  if row[1] ~= token or row[2] ~= 'active' then
    return false
  end
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score and not is_ours(score) then
    return false
  end
  if expected ~= '' and redis.call('HGET', ARGV[1] .. id, 'msg') ~= expected then
    return false
  end
  if row[3] then
    cancelled[#cancelled + 1] = index
    cancelled[#cancelled + 1] = row[3]
  end
  return true
end

for i = 3, #ARGV, 3 do
  local index = (i - 3) / 3
  if held(ARGV[i], ARGV[i + 1], ARGV[i + 2], index) then
    leases[#leases + 1] = expires
    leases[#leases + 1] = ARGV[i]
  else
    lost[#lost + 1] = index
  end
end
if #leases > 0 then
  redis.call('ZADD', KEYS[1], unpack(leases))
end
return { lost, cancelled }
