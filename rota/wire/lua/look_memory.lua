-- Measures the memory of some tasks of a queue, from which the caller estimates the memory of all. Reads only.
--
-- KEYS  1 pending, 2 active, 3 scheduled, 4 retry, 5 archived, 6 completed, 7 groups
-- ARGV  1 task key prefix, 2 group key prefix, 3 tasks to measure of each key, 4 groups to measure
-- Result: { { length, tasks measured, their bytes, bytes of the key itself } for keys 1 to 6,
--           { tasks measured, their bytes } for all groups together }, or nothing if MEMORY is not permitted.
local probe = redis.pcall('MEMORY', 'USAGE', KEYS[1])
if type(probe) == 'table' and probe.err then
  return false
end

local function measure(ids)
  local count, total = 0, 0
  for _, id in ipairs(ids) do
    local bytes = redis.call('MEMORY', 'USAGE', ARGV[1] .. id)
    if bytes then
      count, total = count + 1, total + bytes
    end
  end
  return count, total
end

local last = tonumber(ARGV[3]) - 1
local found = {}
for i = 1, 6 do
  local ids = redis.call(i <= 2 and 'LRANGE' or 'ZRANGE', KEYS[i], 0, last)
  local _, total = measure(ids)
  -- A task whose hash is missing counts as 0 bytes, as in Asynq.
  local length = redis.call(i <= 2 and 'LLEN' or 'ZCARD', KEYS[i])
  found[i] = { length, #ids, total, redis.call('MEMORY', 'USAGE', KEYS[i]) or 0 }
end

local measured, taken = 0, 0
for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[7], ARGV[4])) do
  local count, total = measure(redis.call('ZRANGE', ARGV[2] .. name, 0, last))
  measured, taken = measured + count, taken + total
end
found[7] = { measured, taken }
return found
