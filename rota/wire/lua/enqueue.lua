-- Adds tasks with any options to one queue, independently: a refused task writes nothing and does not stop the others.
-- KEYS  1 pending, 2 scheduled
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes,
--       3 record of the queue's pause (only in Rota); "" for a task that was accepted before, which no pause refuses,
--       then for each task ten (at most 1000 tasks):
--       id, message,
--       when ("" for now, "1700000000.5" for a Unix time, "+2.5" for seconds from now by the server's clock),
--       group ("" for none), lock ("" for none), ms after the task is due at which the lock expires ("" for never),
--       scope (ttl, queued, running), on conflict (return, replace),
--       mark of the request ("" for none; the id itself if the client made it for this request),
--       explicit ("" for none): which of timeout and max_retry the caller gave although they are Asynq's defaults
-- Result: for each task its state if it was added, else { reason, id, state }:
--   duplicate  that task holds the lock        replaced  that task has the new message now
--   busy       that task is running or being aggregated, so it cannot be replaced
--   conflict   the id is taken                 error     the second value is the server's error text
--   created    an earlier sending of this request added it: a client sends a request again if the reply was lost
-- Or an error if the queue refuses producers (see `refusal`).
-- The mark tells which request wrote a task last. It is stored in `rota_sent`, except if it is the id of a task that
-- the request added; `replaced <mark>` means that the request did not add the task. A repeated request writes the mark
-- again, because `WAIT` covers only the writes of its own connection.
--! include clock
--! include time_score
--! include holder
--! include leave
--! include sent
--! include renew
--! include refusal
local base, prefix = ARGV[1], ARGV[2]
local WIDTH = 10
local refused = ARGV[3] ~= '' and refusal(ARGV[3], base .. 'paused')
if refused then
  return refused
end
local now_score = due_score(now)

local function due(when)
  if when == '' then
    return nil
  end
  local at = tonumber(when)
  if string.byte(when) == 43 then
    at = now + at
  end
  return at > now and at or nil
end

local function take(item, id)
  if item.life == '' then
    redis.call('SET', item.lock, id)
  else
    -- As in Asynq, the time to live of the lock begins when the task is due.
    local wait = item.at and (item.at - now) * 1000 or 0
    redis.call('SET', item.lock, id, 'PX', string.format('%d', math.ceil(item.life + wait)))
  end
end

local function target_of(item)
  return item.at and 'scheduled' or item.group ~= '' and 'aggregating' or 'pending'
end

-- All fields of the hash except the message, for one HSET.
local function fields_of(item, target)
  local fields = { 'state', target }
  local function put(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if target == 'pending' then
    put('pending_since', now_ns)
  end
  -- Asynq does not store the group of a scheduled task, so that there the task runs alone.
  if item.group ~= '' then
    put('group', item.group)
  end
  if item.explicit ~= '' then
    put('rota_explicit', item.explicit)
  end
  if item.lock ~= '' then
    put('unique_key', item.lock)
    if item.scope ~= 'ttl' then
      put('rota_unique', item.scope)
    end
  end
  return fields
end

local function line_up(item, id, target)
  if target == 'scheduled' then
    redis.call('ZADD', KEYS[2], time_score(item.at), id)
  elseif target == 'aggregating' then
    redis.call('ZADD', base .. 'g:' .. item.group, now_score, id)
    redis.call('SADD', base .. 'groups', item.group)
  else
    redis.call('LPUSH', KEYS[1], id)
  end
end

local function replace(item, id, state, group, target)
  local mark = 'replaced ' .. item.mark
  if item.mark ~= '' and was_sent(prefix .. id, mark) then
    redis.call('HSET', prefix .. id, 'rota_sent', mark)
    return { 'replaced', id, state }
  end
  local stays = state == target and not item.at and group == item.group
  local used = state == 'active' or is_aggregated(base, id, state, group)
  if used or not stays and not leave(base, id, state, group) then
    return { 'busy', id, state }
  end
  local key = prefix .. id
  local since = stays and redis.call('HGET', key, 'pending_since')
  renew(key, id, item.msg, mark)
  take(item, id)
  redis.call('HDEL', key, 'group', 'rota_unique', 'pending_since')
  redis.call('HSET', key, unpack(fields_of(item, target)))
  if since then
    redis.call('HSET', key, 'pending_since', since)
  elseif not stays then
    line_up(item, id, target)
  end
  return { 'replaced', id, target }
end

-- Reads each place once before the first write, because a key of the wrong type must raise an error before it.
local checked = {}
local function check(item, target)
  local place = target == 'aggregating' and base .. 'g:' .. item.group or target
  if checked[place] then
    return
  end
  if target == 'scheduled' then
    redis.call('ZCARD', KEYS[2])
  elseif target == 'aggregating' then
    redis.call('SCARD', base .. 'groups')
    redis.call('ZCARD', place)
  else
    redis.call('LLEN', KEYS[1])
  end
  checked[place] = true
end

local function add(item)
  local target, key = target_of(item), prefix .. item.id
  check(item, target)
  local taken = redis.call('EXISTS', key) == 1
  if taken and (item.mark == item.id or was_sent(key, item.mark)) then
    redis.call('HSET', key, 'rota_sent', item.mark)
    return { 'created', item.id, redis.call('HGET', key, 'state') or '' }
  end
  if item.lock ~= '' then
    local id, state, group = holder(item.lock, prefix)
    if id then
      return item.replaces and replace(item, id, state, group, target) or { 'duplicate', id, state }
    end
  end
  if taken then
    return { 'conflict', item.id, redis.call('HGET', key, 'state') or '' }
  end
  if item.lock ~= '' then
    take(item, item.id)
  end
  redis.call('HSET', key, 'msg', item.msg, unpack(fields_of(item, target)))
  if item.mark ~= item.id and item.mark ~= '' then
    redis.call('HSET', key, 'rota_sent', item.mark)
  end
  line_up(item, item.id, target)
  return target
end

local replies, written = {}, false
for i = 4, #ARGV, WIDTH do
  local done, reply = pcall(add, {
    id = ARGV[i], msg = ARGV[i + 1], at = due(ARGV[i + 2]), group = ARGV[i + 3], lock = ARGV[i + 4],
    life = ARGV[i + 5], scope = ARGV[i + 6], replaces = ARGV[i + 7] == 'replace', mark = ARGV[i + 8],
    explicit = ARGV[i + 9],
  })
  if not done then
    local text = type(reply) == 'table' and reply.err or tostring(reply)
    -- A key of the wrong type concerns this one task. Any other error (out of memory, no permission, a replica)
    -- concerns the whole call, and is returned as its error. But if tasks were added before, it is returned for this
    -- task only, because an error in place of the replies would hide that those were added.
    if not written and not string.find(text, 'WRONGTYPE', 1, true) then
      return redis.error_reply(text)
    end
    reply = { 'error', text, '' }
  else
    written = written or type(reply) == 'string' or reply[1] == 'replaced' or reply[1] == 'created'
  end
  replies[#replies + 1] = reply
end
return replies
