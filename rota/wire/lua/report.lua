-- Writes what running attempts of one queue tell about themselves: progress and log lines.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, 2 most bytes of a log,
--       then for each attempt four: id, attempt token, progress ("" = unchanged), new log lines ("" = none)
-- Result: how many were written. An attempt whose task was deleted, or taken by another attempt, writes nothing: a write
-- without a look would make a hash that blocks the ID for ever (trap 18). The last words of an attempt may come after
-- its outcome; they still find its token. A lease of Go's says that a Go server runs the task, with our token in its hash.
--! include whose
local prefix, room, written = ARGV[1], tonumber(ARGV[2]), 0
for i = 3, #ARGV, 4 do
  local key = prefix .. ARGV[i]
  local row = redis.call('HMGET', key, 'rota_token', 'rota_log')
  local lease = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if row[1] == ARGV[i + 1] and (not lease or is_ours(lease)) then
    if ARGV[i + 2] ~= '' then
      redis.call('HSET', key, 'rota_progress', ARGV[i + 2])
    end
    if ARGV[i + 3] ~= '' then
      local text = (row[2] or '') .. ARGV[i + 3]
      if #text > room then
        -- The oldest lines go, whole ones.
        text = string.sub(text, -room)
        text = string.sub(text, (string.find(text, '\n', 1, true) or 0) + 1)
      end
      redis.call('HSET', key, 'rota_log', text)
    end
    written = written + 1
  end
end
return written
