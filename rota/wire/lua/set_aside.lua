-- Lists tasks of a fetch whose reply was lost, or archives those whose messages are too large for any reply. It does not
-- return the messages.
--
-- KEYS  1 active, 2 lease, 3 archived
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 token of the lost fetch,
--       5 size in bytes from which a message is too large (0: only list the tasks),
--       6 error text, in which {size} stands for the size of the message
-- Result: { id, size in bytes, id, size, ... } of the listed or archived tasks
-- Can be repeated, because an archived task has no token.
--! include hash
--! include count
--! include minute
--! include whose
--! include end
--! include with_error
local queue = { archived = KEYS[3], base = ARGV[1], channel = ARGV[3] }
local least = tonumber(ARGV[5])

local function size_of(id)
  local key = ARGV[2] .. id
  local row = hash(key, 'rota_token', 'state')
  if row[1] ~= ARGV[4] or row[2] ~= 'active' then return end
  local score = redis.call('ZSCORE', KEYS[2], id)
  if not score or is_ours(score) then return #(redis.call('HMGET', key, 'msg')[1] or '') end
end

local function set_aside(id, size)
  local key = ARGV[2] .. id
  local row = redis.call('HMGET', key, 'msg', 'rota_wait', 'rota_unique', 'unique_key', 'rota_cancel')
  local task = { id = id, key = key, msg = row[1], waited = row[2], scoped = row[3], unique_key = row[4] }
  redis.call('LREM', KEYS[1], 0, id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', key, 'rota_token')
  local ending = row[5] and 'cancelled' or 'quarantined'
  local text = row[5] and 'cancelled: ' .. row[5]
    or string.gsub(ARGV[6], '{size}', string.format('%.1f MB', size / 1048576))
  archive_task(queue, task, ending, text, with_error(row[1], text))
  return ending
end

local found = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, 9999)) do
  local size = size_of(id)
  if size and size >= least then
    found[#found + 1] = id
    found[#found + 1] = size
  end
end
if #found == 0 or least == 0 then return found end
redis.call('ZCARD', KEYS[3]) -- fails on a key of the wrong type, before the first write
local failed = 0
for i = 1, #found, 2 do
  if set_aside(found[i], found[i + 1]) == 'quarantined' then failed = failed + 1 end
end
count(ARGV[1], #found / 2, failed)
count_without_runs(ARGV[1], #found / 2, failed)
return found
