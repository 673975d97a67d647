-- Writes the progress and log lines of running attempts in one queue.
--
-- KEYS  1 lease
-- ARGV  1 task key prefix, 2 most bytes of a log,
--       then for each attempt four: id, attempt token, progress ("" = unchanged), new log lines ("" = none)
-- Result: how many were written. Nothing is written if the task was deleted or another attempt holds it: an HSET
-- without this check would create a hash that blocks the ID for ever (trap 18 in docs/asynq-differences.md). The last
-- report of an attempt may arrive after its outcome, when the token is still in the hash. If the lease is Go's, a Go
-- server runs the task with our token still in the hash, so nothing is written.
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
        -- Cut at the start, and drop the rest of a line that was cut.
        text = string.sub(text, -room)
        text = string.sub(text, (string.find(text, '\n', 1, true) or 0) + 1)
      end
      redis.call('HSET', key, 'rota_log', text)
    end
    written = written + 1
  end
end
return written
