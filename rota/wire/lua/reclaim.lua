-- Finds the tasks that a fetch took whose reply was lost: the active ones that carry its token.
--
-- KEYS  1 active
-- ARGV  1 attempt token, 2 task key prefix
-- Result: { id, msg, id, msg, ... }. Reads only; `active` is never longer than the fleet has slots.
local found = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, 9999)) do
  local row = redis.call('HMGET', ARGV[2] .. id, 'rota_token', 'msg', 'state')
  if row[1] == ARGV[1] and row[2] and row[3] == 'active' then
    found[#found + 1] = id
    found[#found + 1] = row[2]
  end
end
return found
