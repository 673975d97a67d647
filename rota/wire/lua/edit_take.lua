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
-- A bulk act takes thousands of tasks, so there are few calls for each: all fields are read at once, and the archive is
-- written once.
--! include end
--! include leave
--! include aside
--! include with_error
--! include each
local base, to, taken = ARGV[1], ARGV[3], {}

local function fields_of(key)
  local row, fields = redis.call('HGETALL', key), {}
  for i = 1, #row, 2 do
    fields[row[i]] = row[i + 1]
  end
  return fields
end

local function life_of(id, unique_key, msg)
  local lock = lock_of(unique_key, msg)
  if lock and string.sub(lock, 1, #base) == base and redis.pcall('GET', lock) == id then
    return redis.call('PTTL', lock)
  end
  return ''
end

-- The reply with all fields as they were before the task was taken.
local function before(id, fields, aside)
  local found = { 'done', aside.state, id, aside.mark, aside.score, tostring(life_of(id, fields.unique_key, fields.msg)) }
  for name, value in pairs(fields) do
    found[#found + 1] = name
    found[#found + 1] = value
  end
  return found
end

local function set_aside(id, key, fields, score)
  local noted = with_error(fields.msg, ARGV[5])
  local aside = {
    to = to, mark = ARGV[4] .. ':' .. id, state = fields.state, score = score, since = fields.pending_since or '',
    bytes = #fields.msg, sha = redis.sha1hex(noted),
  }
  taken[#taken + 1] = math.floor(now)
  taken[#taken + 1] = id
  write_archived(key, noted, 'rota_aside', cjson.encode(aside))
  redis.call('HDEL', key, 'pending_since')
  return aside
end

redis.call('ZCARD', KEYS[1]) -- fails on a key of the wrong type, before the first write
-- An archived task is kept for 90 days at most, so older entries are left over.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 91 * 86400)
local replies = each(6, 1, function(id, key)
  local fields = fields_of(key)
  local state, group, msg = fields.state, fields.group or '', fields.msg or ''
  if not state then
    return false
  end
  local aside = aside_of(state, fields.rota_aside, msg)
  if aside and aside.to ~= to then
    return { 'aside', aside.to, id }
  elseif state == 'active' then
    return { 'state', state, id }
  end
  -- A reply holds the whole task, so its results and logs count too.
  if is_too_much(id, state, #msg + #(fields.result or '') + #(fields.rota_log or '')) then
    return { 'later', state, id }
  end
  fields.rota_aside = nil
  if aside then
    fields.state, fields.msg = aside.state, string.sub(msg, 1, aside.bytes)
    fields.pending_since = aside.since ~= '' and aside.since or nil
    return before(id, fields, aside)
  end
  local score = score_of(base, id, state, group) or ''
  if not leave(base, id, state, group) then
    return { 'state', state, id }
  end
  fields.msg = msg
  return before(id, fields, set_aside(id, key, fields, score))
end)
if #taken > 0 then
  redis.call('ZADD', KEYS[1], unpack(taken))
  redis.call('ZADD', KEYS[2], unpack(taken))
end
return replies
