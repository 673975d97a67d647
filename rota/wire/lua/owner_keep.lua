-- Extends the leases of all tasks that some living workers hold in one queue, found by the tokens of their attempts.
--
-- KEYS  1 active, 2 lease
-- ARGV  1 task key prefix, 2 lease in seconds, 3 number of the oldest tasks that are left to look at ("" = all),
--       4 number of tasks to look at now (at most 500), then the ids of the workers
-- Result: { number of the oldest tasks that are left, number of extended leases }
-- The supervisor calls it for workers whose own heartbeat is late, because code does not release the interpreter lock
-- or the process gets no CPU time.
--! include clock
--! include whose
--! include page
local expires = lease_end(now, tonumber(ARGV[2]))
local living = {}
for i = 5, #ARGV do
  living[ARGV[i]] = true
end
local ids, left = page_of(KEYS[1], ARGV[3], tonumber(ARGV[4]))
local leases = {}
for _, id in ipairs(ids) do
  local row = redis.call('HMGET', ARGV[1] .. id, 'rota_token', 'state')
  local owner = row[1] and string.match(row[1], '^(.*)%-%d+$')
  if owner and living[owner] and row[2] == 'active' then
    local score = redis.call('ZSCORE', KEYS[2], id)
    if not score or is_ours(score) then
      leases[#leases + 1] = expires
      leases[#leases + 1] = id
    end
  end
end
if #leases > 0 then
  redis.call('ZADD', KEYS[2], unpack(leases))
end
return { left, #leases / 2 }
