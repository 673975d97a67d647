-- Fragment: reads tasks for a search until a number of tasks or of bytes is reached.
-- reader(prefix, most, most_bytes, fields) -> read(head, id): appends the values of `head`, the ID and the fields of the
-- task to `rows`, which the script returns, and returns true; or returns false if the task does not fit. The first task
-- always fits.
--! include hash
local rows = {}
local function reader(prefix, most, most_bytes, fields)
  local tasks, bytes = 0, 0
  return function(head, id)
    if tasks == most then return false end
    local row = hash(prefix .. id, unpack(fields))
    for i = 1, #fields do
      bytes = bytes + (row[i] and #row[i] or 0)
    end
    if bytes > most_bytes and tasks > 0 then return false end
    tasks = tasks + 1
    for i = 1, #head do
      rows[#rows + 1] = head[i]
    end
    rows[#rows + 1] = id
    for i = 1, #fields do
      rows[#rows + 1] = row[i] or false -- also of a key that is not a hash, so that each row has the same length
    end
    return true
  end
end
