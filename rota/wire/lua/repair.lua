-- Repairs tasks of one queue, if the same trouble is found again as when they were looked at.
--
-- For each finding: diagnose the task again, exactly. If trouble and mark (see `diagnose`) are still the same and the
-- id is still in its place, run the function of `act` for that trouble, and count the repair.
--
-- KEYS  1 to 10 as for one queue in `compare_tasks`, 11 counters of repairs, 12 counter of crashes (both only in Rota)
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 crashes after which a task is quarantined, 5 error text for
--       that, 6 error text for a quarantined task that cannot be put back, 7 seconds of a lease for a task without one,
--       8 seconds for which a completed task that was in no set is kept, 9 most ids of `pending` that are searched,
--       10 members of the record of a lost attempt (see `attempts`), 11 most bytes of the attempts of a task,
--       then for each task four: id, place ("" = its hash was found), trouble, mark
-- Result: for each task the name of the counter of its repair; "" if nothing was wrong any more or it was left alone,
--         "later" if this call has done enough, and "long" if `pending` is too long to be searched
--! include whose
--! include time_score
--! include crash
--! include field
--! include diagnose
local base, prefix = ARGV[1], ARGV[2]
local trouble_of, is_in = diagnosis(base, prefix, KEYS[10], true)
local place_of = {
  pending = KEYS[1], active = KEYS[2], lease = KEYS[3], scheduled = KEYS[4], retry = KEYS[5], archived = KEYS[6],
  completed = KEYS[7],
}
local queue = {
  active = KEYS[2], lease = KEYS[3], pending = KEYS[1], archived = KEYS[6],
  base = base, prefix = prefix, channel = ARGV[3], crashes = tonumber(ARGV[4]),
  died = ARGV[10], room = tonumber(ARGV[11]),
}
local processed, failed = 0, 0

-- Another sweep at the same time may have removed the id from that place already.
local function is_there(place, id, row)
  if place == 'lease' then
    return redis.call('ZSCORE', KEYS[3], id)
  end
  return place == '' or is_in(place, id, row)
end

local function take_out(place, id)
  if place == 'pending' or place == 'active' then
    redis.call('LREM', place_of[place], 0, id)
  else
    redis.call('ZREM', place_of[place], id)
  end
  if place == 'active' then
    redis.call('ZREM', KEYS[3], id)
  end
end

local function set_state(id, state)
  redis.call('HSET', prefix .. id, 'state', state)
  if state == 'pending' then
    redis.call('HSET', prefix .. id, 'pending_since', now_ns)
  end
end

local function full_row(id)
  return redis.call('HMGET', prefix .. id, 'msg', 'rota_wait', 'rota_unique', 'unique_key', 'rota_cancel')
end

local function quarantine(id)
  processed, failed = processed + 1, failed + 1
  redis.call('HDEL', prefix .. id, 'rota_token', 'pending_since')
  local task = held_task(queue, id, full_row(id))
  archive_task(queue, task, 'quarantined', ARGV[6], with_error(task.msg, ARGV[6]))
  return 'quarantined'
end

-- When the task failed last, at most now. Asynq leaves the hashes of tasks behind that it trims from the archive. Put
-- back as the youngest ones, they would displace the tasks in the archive at the next trimming.
local function last_failure(id)
  local failed_at = field(redis.call('HGET', prefix .. id, 'msg'), 11) or 0
  return math.floor(failed_at > 0 and failed_at < now and failed_at or now)
end

local function put_back_active(id)
  return give_back(queue, id, full_row(id), ARGV[5]) == 'quarantined' and 'quarantined' or 'unlisted'
end

local function put_back(id, row)
  local state = row[1] or ''
  if state == 'active' then
    return put_back_active(id)
  elseif state == 'pending' then
    redis.call('RPUSH', KEYS[1], id) -- to the front of the queue, because it may have missed its turn long ago
    set_state(id, state) -- with a new time, so that a repair by another process finds another mark
  elseif state == 'scheduled' or state == 'retry' then
    redis.call('ZADD', place_of[state], due_score(now), id) -- due now, because its time is not stored anywhere else
  elseif state == 'archived' then
    redis.call('ZADD', KEYS[6], last_failure(id), id)
  elseif state == 'completed' then
    redis.call('ZADD', KEYS[7], math.floor(now) + tonumber(ARGV[8]), id)
  elseif state == 'aggregating' and row[4] then
    redis.call('ZADD', base .. 'g:' .. row[4], due_score(now), id)
    redis.call('SADD', KEYS[8], row[4])
  else
    return quarantine(id)
  end
  return 'unlisted'
end

local act = {}

function act.ghost(id, place)
  take_out(place, id)
  return 'ghost'
end

function act.stub(id, place)
  redis.call('DEL', prefix .. id)
  take_out('active', id)
  if place ~= '' then
    take_out(place, id)
  end
  return 'stub'
end

function act.stray(id)
  redis.call('ZREM', KEYS[3], id)
  return 'stray_lease'
end

-- Gives the task a lease. If a worker or a Go server runs it, its next heartbeat extends the lease; otherwise the lease
-- expires and the task is recovered. The lease is Rota's if the task has a token, else Go's. That can be wrong, because
-- a Go server keeps the token of an earlier attempt; then its next heartbeat makes the lease Go's.
function act.unleased(id, place, row)
  local lease = lease_end(now, tonumber(ARGV[7]))
  redis.call('ZADD', KEYS[3], row[2] and lease or math.floor(lease), id)
  return 'unleased'
end

function act.ungrouped(id, place, row)
  redis.call('SADD', KEYS[8], row[4])
  return 'ungrouped'
end

-- A task that may be in one of too many sets to search is left alone: taken out, it might be in no place at all.
function act.misplaced(id, place, row)
  local there = row[1] and is_in(row[1], id, row)
  if there == 'perhaps' then
    return ''
  elseif there then
    take_out(place, id)
    return 'misplaced'
  end
  set_state(id, place)
  return 'relabelled'
end

function act.unlisted(id, place, row)
  for _, other in ipairs({ 'active', 'scheduled', 'retry', 'archived', 'completed', 'pending', 'aggregating' }) do
    if other ~= row[1] and is_in(other, id, row) == true then
      set_state(id, other)
      return 'relabelled'
    end
  end
  return put_back(id, row)
end

redis.call('HLEN', KEYS[11]) -- reads that fail on a key of the wrong type, before the first write
redis.call('SCARD', KEYS[8])
local most, length, searched = tonumber(ARGV[9]), redis.call('LLEN', KEYS[1]), 0

-- Whether the repair may search `pending`, which takes the longer the more tasks wait.
local function searches(place, trouble)
  return place == 'pending' or trouble == 'unlisted' or trouble == 'misplaced'
end

local function repair(id, place, trouble, mark)
  if searches(place, trouble) then
    if length > most then
      return 'long'
    elseif searched + length > most then
      return 'later'
    end
    searched = searched + length
  end
  local found, row = trouble_of(id, place)
  if found == trouble and mark_of(prefix, id, row) == mark and is_there(place, id, row) then
    return act[trouble](id, place, row)
  end
  return ''
end

local done, counts = {}, {}
for i = 12, #ARGV, 4 do
  local kind = repair(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if kind ~= '' and kind ~= 'later' and kind ~= 'long' then
    counts[kind] = (counts[kind] or 0) + 1
  end
  done[#done + 1] = kind
end
for kind, number in pairs(counts) do
  redis.call('HINCRBY', KEYS[11], kind, number)
end
count_given_back(queue, KEYS[12], processed, failed)
return done
