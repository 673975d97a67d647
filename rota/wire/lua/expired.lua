-- Lists attempts of one queue whose lease has expired for some time, starting with the first to expire. Reads only.
--
-- KEYS  1 lease, 2 aggregation_sets
-- ARGV  1 task key prefix, 2 seconds since a lease of Rota expired at least, 3 the same for a lease of Go (not less),
--       4 most attempts to list, 5 most bytes of messages in the reply (one attempt is always listed),
--       6 1: leave out each message that is larger than that
-- Result: { Redis time in seconds (text), 1 if an aggregation set is past its deadline, 1 if there may be more,
--           { id, message or "", attempt token or "", reason of a cancel request or "", 1 if it was Rota's,
--             size of a message that is left out, or 0, explicit (see `enqueue`) or "" }, ... }
-- Leases of Rota follow Redis' clock. Leases of Go follow the clocks of the Go machines, so they get more time.
-- Of Rota's attempts a large message is left out, because it is not needed to handle a crash.
--! include clock
--! include whose
local LOOKED_AT, LARGE = 2000, 65536
local stale = redis.call('ZCOUNT', KEYS[2], '-inf', math.floor(now))
local found = { string.format('%.6f', now), stale > 0 and 1 or 0, 0 }
local most_bytes, bytes = tonumber(ARGV[5]), 0
local ours, theirs, most = now - tonumber(ARGV[2]), now - tonumber(ARGV[3]), tonumber(ARGV[4])
local ids = redis.call('ZRANGE', KEYS[1], '-inf', ours, 'BYSCORE', 'LIMIT', 0, LOOKED_AT, 'WITHSCORES')
for i = 1, #ids, 2 do
  local of_ours = is_ours(ids[i + 1])
  if of_ours or tonumber(ids[i + 1]) <= theirs then
    local row = redis.call('HMGET', ARGV[1] .. ids[i], 'msg', 'rota_token', 'rota_cancel', 'rota_explicit')
    local size, left_out = row[1] and #row[1] or 0, 0
    if (of_ours and size > LARGE) or (ARGV[6] == '1' and size > most_bytes) then
      row[1], size, left_out = nil, 0, size
    end
    if #found == most + 3 or (bytes > 0 and bytes + size > most_bytes) then
      found[3] = 1
      break
    end
    bytes = bytes + size
    found[#found + 1] = { ids[i], row[1] or '', row[2] or '', row[3] or '', of_ours and 1 or 0, left_out,
      row[4] or '' }
  end
end
return found
