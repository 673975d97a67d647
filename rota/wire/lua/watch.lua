-- Looks whether a task has ended, and otherwise asks to be told of its end.
-- KEYS  1 hash of the task
-- Result: false if the task is gone, else { state, result, message, own end }; result and message only if it ended
local row = redis.call('HMGET', KEYS[1], 'state', 'result', 'msg', 'rota_end')
if not row[1] then
  return false
end
if row[1] ~= 'completed' and row[1] ~= 'archived' then
  redis.call('HSET', KEYS[1], 'rota_wait', '1')
  return { row[1], '', '', '' }
end
return { row[1], row[2] or '', row[3] or '', row[4] or '' }
