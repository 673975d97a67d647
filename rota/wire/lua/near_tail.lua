-- Fragment: looks for a pending task near the tail of the list, where workers take tasks.
-- is_near_tail(list, id) -> whether the id is among the last 1000. One call looks only once for an id, because the order
--   of the others does not change before it leaves the list.
-- A removal from the list compares the ids one by one from one end on, so near the tail it costs little.
local NEAR = 1000
local near_tail = {}

local function is_near_tail(list, id)
  if near_tail[id] == nil then
    near_tail[id] = redis.call('LPOS', list, id, 'RANK', -1, 'MAXLEN', NEAR) and true or false
  end
  return near_tail[id]
end
