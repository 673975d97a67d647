-- Fragment: releases uniqueness locks.
-- unlock(base, lock, id): deletes a lock, but only if this task still holds it.
-- lock_of(lock, msg) -> name or nil: the lock of a task, from its hash field `unique_key` or else from its message,
-- because Asynq does not store the field for grouped tasks.
--! include field
local function lock_of(lock, msg)
  if lock and lock ~= '' then
    return lock
  end
  -- Searching for this text is much faster than decoding the message, which is rarely needed then.
  if msg and string.find(msg, ':unique:', 1, true) then
    return (field(msg, 10))
  end
end

local function unlock(base, lock, id)
  -- A name outside the queue's keys is ignored, because in a Cluster it could be in another slot, and the error would
  -- stop the script halfway. For the same reason pcall is used: the key may have the wrong type.
  if lock and string.sub(lock, 1, #base) == base and redis.pcall('GET', lock) == id then
    redis.call('DEL', lock)
  end
end

