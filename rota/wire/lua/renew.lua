-- Fragment: replaces the message of a waiting task.
-- renew(key, id, msg, mark): the new message was encoded with another id. If a protobuf field occurs twice, the last
-- one counts, so the task's own id is appended. Fields of the hash about earlier attempts and the earlier message are
-- deleted.
local function renew(key, id, msg, mark)
  local size = string.char(#id)
  if #id > 127 then
    size = string.char(#id % 128 + 128, math.floor(#id / 128))
  end
  redis.call('HSET', key, 'msg', msg .. '\26' .. size .. id, 'rota_sent', mark)
  redis.call('HDEL', key, 'result', 'rota_cancel', 'rota_end', 'rota_crashes', 'rota_progress', 'rota_log',
    'rota_explicit', 'rota_attempts')
end
