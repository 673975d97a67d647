-- Finds the tasks of a fetch whose reply was lost: active tasks with its token. They get a new token and a new lease.
-- If the reply of this script is lost as well, its tasks can be found in the same way by the new token.
--
-- KEYS  1 active, 2 lease
-- ARGV  1 token of the lost fetch, 2 task key prefix, 3 lease in seconds, 4 the new token,
--       5 most bytes of messages in the reply (one task is always returned, however large)
-- Result: { { id, msg, id, msg, ... }, { index of task, cancel reason or "", crashes or "", explicit or "", ... },
--           1 if there are more such tasks }
-- `active` is never longer than the number of slots of all workers.
-- A task whose lease is Go's (see `whose`) is left out: a Go server has recovered it and runs it, with our token still
-- in the hash.
--! include clock
--! include hash
--! include whose
local expires, most_bytes = lease_end(now, tonumber(ARGV[3])), tonumber(ARGV[5])
local found, notes, leases, bytes, more = {}, {}, {}, 0, 0

local function is_lost(id)
  local row = hash(ARGV[2] .. id, 'rota_token', 'state')
  if row[1] ~= ARGV[1] or row[2] ~= 'active' then return false end
  local score = redis.call('ZSCORE', KEYS[2], id)
  return not score or is_ours(score)
end

for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, 9999)) do
  if is_lost(id) then
    local row = hash(ARGV[2] .. id, 'msg', 'rota_cancel', 'rota_crashes', 'rota_explicit')
    if row[1] and bytes > 0 and bytes + #row[1] > most_bytes then
      more = 1
      break
    elseif row[1] then
      bytes = bytes + #row[1]
      if row[2] or row[3] or row[4] then
        notes[#notes + 1] = #found / 2
        notes[#notes + 1] = row[2] or ''
        notes[#notes + 1] = row[3] or ''
        notes[#notes + 1] = row[4] or ''
      end
      found[#found + 1] = id
      found[#found + 1] = row[1]
      leases[#leases + 1] = expires
      leases[#leases + 1] = id
    end
  end
end
if #leases > 0 then
  redis.call('ZADD', KEYS[2], unpack(leases))
  for i = 2, #leases, 2 do redis.call('HSET', ARGV[2] .. leases[i], 'rota_token', ARGV[4]) end
end
return { found, notes, more }
