-- Fragment: unique locks.
-- release(task_key, id): give the lock of a task back, if the task has one and still holds it.
local function release(task_key, id)
  local lock = redis.call("HGET", task_key, "unique_key")
  if lock and redis.call("GET", lock) == id then redis.call("DEL", lock) end
end
