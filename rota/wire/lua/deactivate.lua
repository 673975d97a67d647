-- Fragment: deactivate(active, lease, ids) removes tasks of one queue from `active` and `lease`, at least one.
-- The oldest attempts are at the tail of `active` and tend to end first. If the tail consists of exactly these tasks,
-- one LTRIM removes them all.
local function deactivate(active, lease, ids)
  local tail, ended = redis.call('LRANGE', active, -#ids, -1), {}
  for _, id in ipairs(ids) do ended[id] = true end
  local all = #tail == #ids
  for _, id in ipairs(tail) do all = all and ended[id] end
  if all then
    redis.call('LTRIM', active, 0, -(#ids + 1))
  else
    for _, id in ipairs(ids) do redis.call('LREM', active, -1, id) end
  end
  redis.call('ZREM', lease, unpack(ids))
end
