-- Extends the leases of running attempts of one queue, by Redis' clock.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, 2 lease in seconds, then for each attempt two: id, attempt token; at most 500 attempts
-- Result: indices (from 0) of the attempts that are not ours any more.
-- The token says whose attempt it is. A Go server that recovered the task leaves the token in the hash, but not the
-- state. An ID that was ours and had no lease gets one again: nobody would ever recover it without (trap 17).
--! include clock
local expires = math.floor(now) + tonumber(ARGV[2])
local leases, lost = {}, {}
for i = 3, #ARGV, 2 do
  local row = redis.call('HMGET', ARGV[1] .. ARGV[i], 'rota_token', 'state')
  if row[1] == ARGV[i + 1] and row[2] == 'active' then
    leases[#leases + 1] = expires
    leases[#leases + 1] = ARGV[i]
  else
    lost[#lost + 1] = (i - 3) / 2
  end
end
if #leases > 0 then
  redis.call('ZADD', KEYS[1], unpack(leases))
end
return lost
