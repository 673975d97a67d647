-- Reads some tasks of a list for a search, from its head. Reads only.
--
-- Tasks are added at the head and leave anywhere, so an index does not stay at its task. So the caller also names the
-- last tasks that it has read (anchors). The script looks for the last of them in a window of the list, and reads on
-- behind it.
--
-- KEYS  1 list
-- ARGV  1 task key prefix, 2 most tasks, 3 most bytes of fields (one task is always read), 4 first index of the window,
--       5 length of the window, 6 number of anchors, then the anchors, then the fields to read
-- Result: { Redis time in seconds (text), index of the next task, or -1 if the window has none of the anchors,
--           1 if there are more tasks, length of the list, ID, fields, ID, fields, ... }
--! include clock
--! include scan_rows
rows[1], rows[2], rows[3], rows[4] = string.format('%.6f', now), 0, 0, redis.call('LLEN', KEYS[1])
local start, length, anchors = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ids = redis.call('LRANGE', KEYS[1], start, start + length - 1)
local at = 1
if anchors > 0 then
  local known = {}
  for i = 7, 6 + anchors do
    known[ARGV[i]] = true
  end
  local last = #ids
  while last > 0 and not known[ids[last]] do
    last = last - 1
  end
  if last == 0 then
    rows[2], rows[3] = -1, #ids == length and 1 or 0
    return rows
  end
  at = last + 1
end

local read = reader(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), { unpack(ARGV, 7 + anchors) })
while at <= #ids and read(ids[at]) do
  at = at + 1
end
rows[2], rows[3] = start + at - 1, (at <= #ids or #ids == length) and 1 or 0
return rows
