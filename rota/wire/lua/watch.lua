-- Checks whether a task has ended, and if not, requests that its end is announced.
-- KEYS  1 hash of the task
-- Result: false if the task does not exist, else { state, result, message, rota_end, kept }. Result, message and
--         rota_end are set only if it has ended. kept is 0 if it has not ended and has no retention, so its result is
--         not kept.
--! include field
local row = redis.call('HMGET', KEYS[1], 'state', 'result', 'msg', 'rota_end')
if not row[1] then
  return false
end
if row[1] ~= 'completed' and row[1] ~= 'archived' then
  local kept = (field(row[3] or '', 12) or 0) > 0
  if kept then
    redis.call('HSET', KEYS[1], 'rota_wait', '1')
  end
  return { row[1], '', '', '', kept and 1 or 0 }
end
return { row[1], row[2] or '', row[3] or '', row[4] or '', 1 }
