-- Puts tasks back that are active although no worker runs them any more. Uses no retry and does not count as a crash.
-- KEYS  1 pending, 2 active, 3 lease, 4 archived, 5 counter of crashes (only in Rota)
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 prefix of the channels on which ends are announced,
--       4 seconds since a lease of Rota must have expired at least, 5 the same for a lease of Go,
--       6 members of the record of an attempt that was lost (see `attempts`), 7 most bytes of the attempts of a task,
--       8 1 if a task without a lease may be put back, then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: done, same (it is pending), alive (its
--         lease has not expired), leaseless (it has no lease), state (it is not active), later and error (see `each`)
--! include whose
--! include crash
--! include each
local queue = {
  active = KEYS[2], lease = KEYS[3], pending = KEYS[1], archived = KEYS[4], base = ARGV[1], prefix = ARGV[2],
  channel = ARGV[3], crashes = 0, died = ARGV[6], room = tonumber(ARGV[7]),
}
redis.call('LLEN', KEYS[1]) -- reads that fail on a key of the wrong type, before the first write
redis.call('LLEN', KEYS[2])
redis.call('ZCARD', KEYS[4])
local replies = each(9, 1, function(id, key)
  local row = redis.call('HMGET', key, 'msg', 'rota_wait', 'rota_unique', 'unique_key', 'rota_cancel', 'state')
  local state = row[6]
  if not state then
    return false
  elseif state ~= 'active' or not row[1] then
    return { state == 'pending' and 'same' or 'state', state, id }
  end
  local lease = redis.call('ZSCORE', KEYS[3], id)
  if lease and tonumber(lease) > now - tonumber(is_ours(lease) and ARGV[4] or ARGV[5]) then
    return { 'alive', state, id }
  elseif not lease and ARGV[8] ~= '1' then
    return { 'leaseless', state, id }
  elseif is_too_much('', '', #row[1]) then
    return { 'later', state, id }
  end
  give_back(queue, id, row, '')
  return { 'done', state, id }
end)
count_given_back(queue, KEYS[5], 0, 0)
return replies
