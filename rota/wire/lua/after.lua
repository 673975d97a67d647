-- Fragment: finds the position in a list or sorted set of tasks from which a page goes on. Reads only.
-- after_in_set(key, score, id) -> number of members up to this one, which may be gone or have another score by now
-- after_in_list(key, from, ids) -> number of IDs up to the last one of the page before, or nil and from where to look on
--   from  number of IDs that the page before had passed, counted from the next task to run
--   ids   the last IDs of the page before, the last one first
local SEEN_AT_ONCE = 5000

-- `<` on strings follows the locale of the server, but sorted sets go by bytes.
local function is_after(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local function after_in_set(key, score, id)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_after(redis.call('ZRANGE', key, middle, middle)[1], id) then high = middle else low = middle + 1 end
  end
  return low
end

-- Tasks leave a list anywhere, mostly at the end where the next one is taken, and new ones are added at the other end.
-- So an ID moves towards the next task, and is never farther from it than it was. But a task that was taken and put back
-- stands before unseen ones. So an ID counts only if the same ID as before precedes it, or if it is the next task.
-- If none of the IDs counts, the page begins at the next task: a task may be seen twice, but none is passed over.
local function after_in_list(key, from, ids)
  from = math.min(from, redis.call('LLEN', key))
  if from == 0 then return 0 end
  local low = math.max(0, from - SEEN_AT_ONCE)
  local seen = redis.call('LRANGE', key, -from, -math.max(low, 1)) -- with the one that precedes those looked at
  local number, position = {}, {}
  for n, id in ipairs(ids) do
    number[id] = n
  end
  for i = 1, from - low do
    local n = number[seen[i]]
    if n and (i == from or (ids[n + 1] and seen[i + 1] == ids[n + 1])) then
      position[n] = from - i + 1
    end
  end
  for n = 1, #ids do
    if position[n] then return position[n] end
  end
  if low == 0 then return 0 end
  return nil, low
end
