-- Compares a page of each list and sorted set of one queue with the tasks. Reads only.
--
-- KEYS  ten, as for `compare_tasks`
-- ARGV  1 approximate number of ids of each place, 2 key base, 3 task key prefix, then the cursors in active, lease,
--       pending, scheduled, retry, archived, completed ("0" = begin, "" = skip this place)
-- Result: { { the seven next cursors, "" at the end }, { place, id, trouble, mark, ... } }
--! include diagnose
local PLACES = { 'active', 'lease', 'pending', 'scheduled', 'retry', 'archived', 'completed' }
local LISTS = { active = true, pending = true }
local page, base, prefix = tonumber(ARGV[1]), ARGV[2], ARGV[3]

-- Reads from the oldest id on. Ids that are removed between two pages shift the others, so that some are skipped; the
-- next comparison looks at them.
local function read_list(key, cursor)
  local ids = redis.call('LRANGE', key, -cursor - page, -cursor - 1)
  return #ids == page and tostring(cursor + page) or '', ids
end

local function read_set(key, cursor)
  local reply, ids = redis.call('ZSCAN', key, cursor, 'COUNT', page), {}
  for i = 1, #reply[2], 2 do
    ids[#ids + 1] = reply[2][i]
  end
  return reply[1] ~= '0' and reply[1] or '', ids
end

local trouble_of = diagnosis(base, prefix, KEYS[10], false)
local cursors, found = {}, {}
for i, place in ipairs(PLACES) do
  local cursor, ids = ARGV[3 + i], {}
  if cursor ~= '' then
    local read = LISTS[place] and read_list or read_set
    cursor, ids = read(base .. place, cursor)
  end
  cursors[i] = cursor
  for _, id in ipairs(ids) do
    local trouble, row = trouble_of(id, place)
    if trouble then
      for _, word in ipairs({ place, id, trouble, mark_of(prefix, id, row) }) do
        found[#found + 1] = word
      end
    end
  end
end
return { cursors, found }
