-- Fragment: is this outcome still ours to record? Every script that ends an attempt asks this first, of all its
-- tasks, before it writes anything.
--   0 ours  1 recorded already (a repeated request)  2 another attempt has the task  3 the task is gone
-- `expected` is the message as it was fetched, passed only when the local lease had lapsed: a Go server that
-- recovered and took the task leaves our token in the hash, but it rewrites the message.
local function standing(row, token, expected)
  if not row[2] then return 3 end
  if row[1] ~= token then return 2 end
  if row[2] ~= 'active' then return 1 end
  if expected ~= '' and row[4] ~= expected then return 2 end
  return 0
end

-- Tell whoever waits for the end of this task. A user without the right to publish must still be able to record.
local function announce(channel, state, text)
  redis.pcall('PUBLISH', channel, state .. '\n' .. text)
end
