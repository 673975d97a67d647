-- Lists attempts of one queue whose lease ran out some time ago, the longest dead first. Reads only.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, 2 how long ago in seconds, 3 most attempts to list
-- Result: { Redis time in seconds (text), { id, message or "", attempt token or "", reason of a cancel request or "" }, ... }
--! include clock
local found = { string.format('%.6f', now) }
local ids = redis.call('ZRANGE', KEYS[1], '-inf', now - tonumber(ARGV[2]), 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[3]))
for _, id in ipairs(ids) do
  local row = redis.call('HMGET', ARGV[1] .. id, 'msg', 'rota_token', 'rota_cancel')
  found[#found + 1] = { id, row[1] or '', row[2] or '', row[3] or '' }
end
return found
