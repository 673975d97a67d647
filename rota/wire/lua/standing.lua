-- Fragment: checks whether an attempt may still record its outcome. Every script that ends attempts checks all its
-- tasks in this way before it writes anything.
-- standing(row, token, expected, lease) -> code
--   row      the task's rota_token, state, any field, msg      lease  score of the task's lease, false for none
--   0 may record  1 recorded already (a repeated request)  2 another attempt holds the task  3 the task is gone
-- Our token in the hash is not sufficient, because a Go server that takes the task keeps it there. In that case the
-- lease is Go's (see `whose`), unless a sweep has given the task a lease of Rota since (see `repair`). So an
-- attempt whose lease had expired also passes the message as it was fetched (`expected`): Asynq rewrites the message of
-- a task that it recovers.
--! include whose
local function standing(row, token, expected, lease)
  if not row[2] then return 3 end
  if row[1] ~= token then return 2 end
  if row[2] ~= 'active' then return 1 end
  if lease and not is_ours(lease) then return 2 end
  if expected ~= '' and row[4] ~= expected then return 2 end
  return 0
end
