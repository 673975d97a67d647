-- unlock(base, lock, id): gives back a uniqueness lock, only if this task still holds it.
-- lock_of(lock, msg) -> name or nil: the lock of a task, from its hash field `unique_key` or else from its message
-- (Asynq does not store the field for grouped tasks).
--! include field
local function lock_of(lock, msg)
  if lock and lock ~= '' then
    return lock
  end
  -- Looking for the word is far cheaper than reading the message, and nearly always enough.
  if msg and string.find(msg, ':unique:', 1, true) then
    return field(msg, 10)
  end
end

local function unlock(base, lock, id)
  -- A name outside the queue's own keys would be another slot of a Cluster and stop the script half-way, as would a key
  -- of another type without `pcall`.
  if lock and string.sub(lock, 1, #base) == base and redis.pcall('GET', lock) == id then
    redis.call('DEL', lock)
  end
end

