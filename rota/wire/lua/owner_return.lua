-- Puts back the tasks that a dead worker process held in one queue. Call it only if the process is known to be dead.
--
-- KEYS  1 active, 2 lease, 3 pending, 4 archived, 5 counter of crashes (only in Rota)
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 worker id, 5 crashes after which a task is quarantined (0:
--       the process was asked to stop, so nothing is counted), 6 error text of a quarantined task,
--       7 number of the oldest tasks that are left to look at ("" = all), 8 number to look at now (at most 500),
--       9 members of the record of each attempt (see `attempts`), 10 most bytes of the attempts of a task
-- Result: { number of the oldest tasks that are left, put back, cancelled, quarantined }
-- Can be repeated, because a task that was put back has no token.
--! include whose
--! include crash
--! include page
local queue = {
  active = KEYS[1], lease = KEYS[2], pending = KEYS[3], archived = KEYS[4],
  base = ARGV[1], prefix = ARGV[2], channel = ARGV[3], crashes = tonumber(ARGV[5]),
  died = ARGV[9], room = tonumber(ARGV[10]),
}
local owner, held = ARGV[4] .. '-', {}
local ids, left = page_of(KEYS[1], ARGV[7], tonumber(ARGV[8]))
for _, id in ipairs(ids) do
  local row = redis.call('HMGET', ARGV[2] .. id, 'msg', 'rota_wait', 'rota_unique', 'unique_key', 'rota_cancel',
    'rota_token', 'state')
  if row[1] and row[6] and string.sub(row[6], 1, #owner) == owner and row[7] == 'active' then
    local score = redis.call('ZSCORE', KEYS[2], id)
    if not score or is_ours(score) then
      held[#held + 1] = { id, row }
    end
  end
end
redis.call('LLEN', KEYS[3]) -- reads that fail on a key of the wrong type, before the first write
redis.call('ZCARD', KEYS[4])
-- The youngest task is put back first, so that the oldest one ends up at the very front.
for _, item in ipairs(held) do
  give_back(queue, item[1], item[2], ARGV[6])
end
count_given_back(queue, KEYS[5], 0, 0)
return { left, given_back.pending, given_back.cancelled, given_back.quarantined }
