-- Reads some tasks of sorted sets for a search, one set after the other, in the order of scores and IDs. Reads only.
--
-- The caller names the score and ID of the last task that it has read of the first set. The script reads on behind that
-- position, also if that task has left the set meanwhile. So a task that stays in a set is read exactly once.
--
-- KEYS  sorted sets of IDs
-- ARGV  1 task key prefix, 2 most tasks, 3 most bytes of fields (one task is always read),
--       4 `up` or `down` (the order of the scores), 5 lowest score, 6 highest score (both as in ZCOUNT),
--       7 score and 8 ID of the last task of the first set ("" none), then the fields to read
-- Result: { Redis time in seconds (text), number of sets that were read to their end,
--           number of the set, score, ID, fields, number of the set, ... }
--! include clock
--! include scan_rows
--! include after

-- The rank of the first member behind the position (`up`), or the number of members before it (`down`).
local function rank_after(key, up, score, id)
  local at = after_in_set(key, score, id)
  local is_there = at > 0 and redis.call('ZRANGE', key, at - 1, at - 1)[1] == id
  return (up or not is_there) and at or at - 1
end

rows[1], rows[2] = string.format('%.6f', now), 0
local up, most = ARGV[4] == 'up', tonumber(ARGV[2])
local read = reader(ARGV[1], most, tonumber(ARGV[3]), { unpack(ARGV, 9) })
local taken = 0
for number, key in ipairs(KEYS) do
  local last = redis.call('ZCOUNT', key, '-inf', ARGV[6]) -- the ranks `first` to `last - 1` are left
  local first = last - redis.call('ZCOUNT', key, ARGV[5], ARGV[6])
  if number == 1 and ARGV[8] ~= '' then
    local at = rank_after(key, up, ARGV[7], ARGV[8])
    if up then first = math.max(first, at) else last = math.min(last, at) end
  end
  local count = math.min(most - taken, last - first)
  local page = {}
  if count > 0 then
    local from = up and first or last - count
    page = redis.call('ZRANGE', key, from, from + count - 1, 'WITHSCORES')
  end
  local read_all = count >= last - first
  for i = 1, #page, 2 do
    local at = up and i or #page - i
    if not read(page[at], number, page[at + 1]) then
      read_all = false
      break
    end
    taken = taken + 1
  end
  if not read_all then break end
  rows[2] = number
end
return rows
