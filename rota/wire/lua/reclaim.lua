-- Finds the tasks that a fetch took whose reply was lost, the active ones that carry its token, and leases them anew.
--
-- KEYS  1 active, 2 lease
-- ARGV  1 attempt token, 2 task key prefix, 3 lease in seconds
-- Result: { { id, msg, id, msg, ... }, { index of task, cancel reason or "", crashes or "", ... } }
-- `active` is never longer than the fleet has slots.
-- One whose lease is Go's (see `whose`) was recovered meanwhile and runs there, with our token still in its hash.
--! include clock
--! include hash
--! include whose
local expires = lease_end(now, tonumber(ARGV[3]))
local found, notes, leases = {}, {}, {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, 9999)) do
  local row = hash(ARGV[2] .. id, 'rota_token', 'msg', 'state', 'rota_cancel', 'rota_crashes')
  if row[1] == ARGV[1] and row[2] and row[3] == 'active' then
    local score = redis.call('ZSCORE', KEYS[2], id)
    if not score or is_ours(score) then
      if row[4] or row[5] then
        notes[#notes + 1] = #found / 2
        notes[#notes + 1] = row[4] or ''
        notes[#notes + 1] = row[5] or ''
      end
      found[#found + 1] = id
      found[#found + 1] = row[2]
      leases[#leases + 1] = expires
      leases[#leases + 1] = id
    end
  end
end
if #leases > 0 then
  redis.call('ZADD', KEYS[2], unpack(leases))
end
return { found, notes }
