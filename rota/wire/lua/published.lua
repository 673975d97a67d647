-- Fragment: keeps the record of the task types that a server handles.
-- The script has to include `clock` before.
-- keep(list, record, server, seconds): lists the server with the digest of the record and extends the record, or
-- removes the server (0 seconds). Returns 1 if the record has to be written. Without a record it does nothing.
--! include listed
local function keep(types, record, server, seconds)
  if not types then
    return 0
  end
  list(types, record:match('[^:]*$') .. ' ' .. server, seconds)
  if seconds == '0' then
    return 0 -- the record expires by itself, because other servers may share it
  end
  redis.call('EXPIRE', types, seconds)
  return 1 - redis.call('EXPIRE', record, seconds)
end
