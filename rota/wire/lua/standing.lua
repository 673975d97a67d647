-- Fragment: is this outcome still ours to record? Every script that ends an attempt asks this first, of all its
-- tasks, before it writes anything.
--   row      the task's rota_token, state, any, msg        lease  its score, false for none
--   0 ours  1 recorded already (a repeated request)  2 another attempt has the task  3 the task is gone
-- Our token in the hash is not all: a Go server that took the task leaves it there. Then the lease is Go's. And should
-- it have a lease of ours again (see `sweep_repair`): Go rewrites the message of what it recovers. So `expected` is the
-- message as it was fetched, passed only when the local lease had lapsed.
--! include whose
local function standing(row, token, expected, lease)
  if not row[2] then return 3 end
  if row[1] ~= token then return 2 end
  if row[2] ~= 'active' then return 1 end
  if lease and not is_ours(lease) then return 2 end
  if expected ~= '' and row[4] ~= expected then return 2 end
  return 0
end
