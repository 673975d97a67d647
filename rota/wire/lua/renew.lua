-- Fragment: giving a waiting task a new message.
-- renew(key, id, msg, mark): the new message was packed with another id. Of a protobuf field that occurs twice the last
-- one counts, so the task's own id is appended. What the old message had gone through is forgotten.
local function renew(key, id, msg, mark)
  local size = string.char(#id)
  if #id > 127 then
    size = string.char(#id % 128 + 128, math.floor(#id / 128))
  end
  redis.call('HSET', key, 'msg', msg .. '\26' .. size .. id, 'rota_sent', mark)
  redis.call('HDEL', key, 'result', 'rota_cancel', 'rota_end', 'rota_crashes', 'rota_progress', 'rota_log')
end
