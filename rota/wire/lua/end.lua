-- Fragment: ends a task. Every script that ends tasks uses these functions, so that the lock, the fields of the hash
-- and the announcement are the same everywhere. Only `done` and `clean` end whole batches with their own commands.
-- The caller removes the task from its list or set, checks its keys before the first write, and counts.
--
-- archive_task(queue, task, ending, text, msg)  `ending` is '' for a failure, else cancelled, expired, quarantined ...;
--                                               `text` is announced; `msg` replaces the message, nil keeps it
-- complete_task(queue, task, seconds, result, fields)   keeps the task and its result for this number of seconds;
--                                                       `fields` alternates names and values to store as well
-- write_archived(key, msg, ...)   only the hash of `archive_task`, for a task on its way elsewhere; `...` alternates names
--                                 and values to store as well
-- delete_task(queue, task, state, text)         announces `state`; returns 1, or 0 if there was no hash
--   queue  base (prefix of the queue's keys), channel (prefix), archived and completed (keys)
--   task   id, key (of its hash), msg, unique_key (field of the hash), scoped (its lock has a scope of Rota, `queued`
--          or `running`), waited (a caller waits for the end)
--! include clock
--! include unlock
--! include announce
local function end_task(queue, task, frees_lock, state, text)
  if frees_lock then
    unlock(queue.base, lock_of(task.unique_key, task.msg), task.id)
  end
  if task.waited then
    announce(queue.channel .. task.id, state, text)
  end
end

local function write_archived(key, msg, ...)
  if msg then
    redis.call('HSET', key, 'state', 'archived', 'msg', msg, ...)
  else
    redis.call('HSET', key, 'state', 'archived', ...)
  end
end

local function archive_task(queue, task, ending, text, msg)
  redis.call('ZADD', queue.archived, math.floor(now), task.id)
  write_archived(task.key, msg)
  redis.call('HDEL', task.key, 'pending_since', 'rota_end') -- if Go's inspector ran the task again, it left `rota_end`
  if ending ~= '' then
    redis.call('HSET', task.key, 'rota_end', ending)
  end
  -- In Asynq an archived task keeps its lock until the lock expires. Locks with a scope of Rota are released here.
  local cancelled = ending == 'cancelled'
  end_task(queue, task, task.scoped or cancelled, cancelled and ending or 'archived', text)
end

local function complete_task(queue, task, seconds, result, fields)
  redis.call('ZADD', queue.completed, math.floor(now) + seconds, task.id)
  if result ~= '' then
    redis.call('HSET', task.key, 'state', 'completed', 'result', result, unpack(fields))
  else
    redis.call('HSET', task.key, 'state', 'completed', unpack(fields))
  end
  end_task(queue, task, true, 'completed', result)
end

local function delete_task(queue, task, state, text)
  local deleted = redis.call('DEL', task.key)
  end_task(queue, task, true, state, text)
  return deleted
end
