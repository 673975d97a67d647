-- Moves tasks to another queue of the same server, each in one step: a task is in one of the two queues at any time, and
-- is never in between. A Cluster needs the steps of `edit_take`.
-- KEYS  1 pending, 2 record of the pause (only in Rota), both of the other queue
-- ARGV  1 prefix of the queue's keys, 2 prefix of its task hashes, 3 and 4 those of the other queue, 5 its name, then the
--       ids
-- Result: for each task { reply, state, id }: done, gone (with the state of the task that has the id in the other queue,
--         "" for none), state (it is running or being aggregated), conflict (the id is taken there), locked (by the task
--         `id`), aside (on its way to the queue `state`), unreadable (its message), later and error (see `each`); an
--         error if the other queue refuses producers
--! include aside
--! include holder
--! include leave
--! include place
--! include unlock
--! include with_text
--! include each
--! include refusal
local base, there, prefix_there, name = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local refused = refusal(KEYS[2], there .. 'paused')
if refused then
  return refused
end
local pending, checked = {}, {}

-- A lock outside of the queue's keys was named by another program, so its name says nothing of the queue.
local function renamed(lock)
  if lock and lock ~= '' and string.sub(lock, 1, #base) == base then
    return there .. string.sub(lock, #base + 1)
  end
end

local function message_there(msg)
  local moved, lock = with_text(msg, 4, name), renamed((field(msg, 10)))
  return moved and lock and with_text(moved, 10, lock) or moved
end

-- The lock that the task holds, or nil.
local function lock_held(id, unique_key, msg)
  local lock = lock_of(unique_key, msg)
  return renamed(lock) and redis.pcall('GET', lock) == id and lock or nil
end

local function check_once(state, group)
  if not checked[state .. group] then
    check_place(base, state, group)
    check_place(there, state, group)
    checked[state .. group] = true
  end
end

local function put_there(id, state, score, group)
  if state == 'pending' then
    pending[#pending + 1] = id
  else
    place(there, id, state, score, group)
  end
end

-- Returns the reply for a task that cannot be moved, or nil.
local function obstacle(id, row)
  local state, msg = row[1], row[4] or ''
  local taken = redis.call('HGET', prefix_there .. id, 'state')
  if not state then
    return { 'gone', taken or '', id }
  end
  local aside = aside_of(state, row[5], msg)
  if aside then
    return { 'aside', aside.to, id }
  elseif state == 'active' then
    return { 'state', state, id }
  elseif is_too_much(id, state, #msg) then
    return { 'later', state, id }
  elseif taken or redis.call('EXISTS', prefix_there .. id) == 1 then
    return { 'conflict', taken or '', id }
  end
end

local replies = each(6, 1, function(id, key)
  local row = redis.call('HMGET', key, 'state', 'group', 'unique_key', 'msg', 'rota_aside')
  local found = obstacle(id, row)
  if found then
    return found
  end
  local state, group, key_there = row[1], row[2] or '', prefix_there .. id
  local msg, lock = message_there(row[4] or ''), lock_held(id, row[3], row[4])
  if not msg then
    return { 'unreadable', state, id }
  end
  if lock then
    local other, other_state = holder(renamed(lock), prefix_there)
    if other then
      return { 'locked', other_state, other }
    end
  end
  check_once(state, group)
  local score = score_of(base, id, state, group)
  redis.call('RENAME', key, key_there) -- the first write: without this right, nothing is changed
  if not leave(base, id, state, group) then
    redis.call('RENAME', key_there, key)
    return { 'state', state, id }
  end
  redis.call('HSET', key_there, 'msg', msg)
  if renamed(row[3]) then
    redis.call('HSET', key_there, 'unique_key', renamed(row[3]))
  end
  if row[5] then
    redis.call('HDEL', key_there, 'rota_aside')
  end
  if lock then
    redis.call('RENAME', lock, renamed(lock))
  end
  put_there(id, state, score, group)
  return { 'done', state, id }
end)
if #pending > 0 then
  redis.call('LPUSH', there .. 'pending', unpack(pending))
end
return replies
