-- Fragment: reads tasks for a search until a number of tasks or of bytes is reached.
-- reader(prefix, most, most_bytes, fields) -> read(id, set, score): appends the number of the set and the score, if they
-- are given, the ID and the fields of the task to `rows`, which the script returns, and returns true; or returns false
-- if the task does not fit. The first task always fits. Call it when the head of the reply is in `rows`.
--! include hash
local rows = {}
local function reader(prefix, most, most_bytes, fields)
  -- A counter, because `#rows` would search for the end of the table for each value.
  local tasks, bytes, last, width = 0, 0, #rows, #fields
  return function(id, set, score)
    if tasks == most then return false end
    local row = hash(prefix .. id, unpack(fields))
    for i = 1, width do
      bytes = bytes + (row[i] and #row[i] or 0)
    end
    if bytes > most_bytes and tasks > 0 then return false end
    tasks = tasks + 1
    if set then
      rows[last + 1], rows[last + 2] = set, score
      last = last + 2
    end
    rows[last + 1] = id
    for i = 1, width do
      rows[last + 1 + i] = row[i] or false -- also of a key that is not a hash, so that each row has the same length
    end
    last = last + 1 + width
    return true
  end
end
