-- Fragment: hash(key, ...) -> the asked fields of a task's hash, none of a key that is no hash: it is no task.
-- Any other error, as a right that is missing, stops the script: nothing may be taken for gone because of it.
local function hash(key, ...)
  local row = redis.pcall('HMGET', key, ...)
  if not row.err then
    return row
  elseif string.find(row.err, 'WRONGTYPE', 1, true) then
    return {}
  end
  error(row)
end
