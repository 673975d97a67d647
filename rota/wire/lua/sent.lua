-- Fragment: recognizes the writes of an earlier sending of the same request.
-- was_sent(key, mark) -> whether the request with this mark was the last one to add the task or give it a message.
local function was_sent(key, mark)
  return redis.call('HGET', key, 'rota_sent') == mark
end
