-- Fragment: hash(key, ...) -> these fields of a task's hash. A key that is not a hash is treated as an absent task.
-- Any other error, such as a missing permission, stops the script, so that no task is taken for deleted because of it.
local function hash(key, ...)
  local row = redis.pcall('HMGET', key, ...)
  if not row.err then
    return row
  elseif string.find(row.err, 'WRONGTYPE', 1, true) then
    return {}
  end
  error(row)
end
