-- Takes tasks aside, before they are put into another queue or stored: a task stays in the archive of its queue with a
-- note as its error text. So no worker runs it, and every tool shows it, until `edit_drop` deletes it or puts it back.
-- KEYS  1 archived, 2 tasks that are aside, by the time at which they were taken (only in Rota)
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 name of the queue to which they go ("" for the
--       store), 4 mark, a new one for each call, 5 note, then the ids
-- Result: for each task false if it does not exist, else { reply, state, id }: state (it is running or being aggregated),
--         aside (it is on its way to another queue, `state`), later and error (see `each`); or
--         { done, state before, id, mark, score before ("" for pending), ms for which its lock lives on ("" = it holds
--         none, -1 = for ever), fields and values before ... }
-- A task that is aside for the same target is returned as it was returned first, with the mark of that time: its reply
-- was lost, or the process died that took it.
--! include end
--! include leave
--! include aside
--! include with_error
--! include each
local base, to = ARGV[1], ARGV[3]

local function score_of(id, state, group)
  if state == 'pending' then
    return ''
  end
  return redis.call('ZSCORE', state == 'aggregating' and base .. 'g:' .. group or base .. state, id) or ''
end

local function life_of(id, unique_key, msg)
  local lock = lock_of(unique_key, msg)
  if lock and string.sub(lock, 1, #base) == base and redis.pcall('GET', lock) == id then
    return redis.call('PTTL', lock)
  end
  return ''
end

-- All fields as they were before the task was taken.
local function before(id, key, aside)
  local row, found = redis.call('HGETALL', key), {}
  local own = {
    state = aside.state, msg = string.sub(redis.call('HGET', key, 'msg') or '', 1, aside.bytes),
    pending_since = aside.since,
  }
  for i = 1, #row, 2 do
    local name = row[i]
    if name ~= 'rota_aside' and not own[name] then
      own[name] = row[i + 1]
    end
  end
  local lock_life = life_of(id, own.unique_key, own.msg)
  found = { 'done', aside.state, id, aside.mark, aside.score, tostring(lock_life) }
  for name, value in pairs(own) do
    if value ~= '' or name == 'msg' then
      found[#found + 1] = name
      found[#found + 1] = value
    end
  end
  return found
end

redis.call('ZCARD', KEYS[1]) -- fails on a key of the wrong type, before the first write
-- An archived task is kept for 90 days at most, so older entries are left over.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 91 * 86400)
return each(6, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'group', 'msg', 'pending_since', 'rota_aside')
  local state, group, msg = row[1], row[2] or '', row[3] or ''
  if not state then
    return false
  end
  local aside = aside_of(state, row[5], msg)
  if aside and aside.to ~= to then
    return { 'aside', aside.to, id }
  elseif state == 'active' then
    return { 'state', state, id }
  end
  -- A reply holds the whole task, so its results and logs count too.
  if is_too_much(id, state, #msg + redis.call('HSTRLEN', key, 'result') + redis.call('HSTRLEN', key, 'rota_log')) then
    return { 'later', state, id }
  end
  if aside then
    return before(id, key, aside)
  end
  local score = score_of(id, state, group)
  if not leave(base, id, state, group) then
    return { 'state', state, id }
  end
  local noted = with_error(msg, ARGV[5])
  aside = {
    to = to, mark = ARGV[4] .. ':' .. id, state = state, score = score, since = row[4] or '', bytes = #msg,
    sha = redis.sha1hex(noted),
  }
  put_into_archive({ archived = KEYS[1] }, { id = id, key = key }, noted)
  redis.call('ZADD', KEYS[2], math.floor(now), id)
  redis.call('HSET', key, 'rota_aside', cjson.encode(aside))
  redis.call('HDEL', key, 'pending_since')
  return before(id, key, aside)
end)
