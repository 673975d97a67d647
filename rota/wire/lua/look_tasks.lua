-- Returns one page of the tasks of one state, in the order in which they will run. Reads only.
--
-- KEYS  1 list or sorted set of IDs, 2 lease
-- ARGV  1 task key prefix, 2 list or zset, 3 start, 4 number, then the fields to read
-- Result: { Redis time in seconds (text), length of 1, { ID, score or lease, { fields } }, ... }
--! include clock
local start, count = tonumber(ARGV[3]), tonumber(ARGV[4])
local fields = {}
for i = 5, #ARGV do
  fields[#fields + 1] = ARGV[i]
end

local found = {}
if ARGV[2] == 'list' then
  -- The next task is at the tail of the list.
  local ids = redis.call('LRANGE', KEYS[1], -(start + count), -(start + 1))
  for i = #ids, 1, -1 do
    found[#found + 1] = { ids[i], redis.call('ZSCORE', KEYS[2], ids[i]) }
  end
else
  local page = redis.call('ZRANGE', KEYS[1], start, start + count - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    found[#found + 1] = { page[i], page[i + 1] }
  end
end

local reply = { string.format('%.6f', now), redis.call(ARGV[2] == 'list' and 'LLEN' or 'ZCARD', KEYS[1]) }
for _, row in ipairs(found) do
  row[3] = redis.call('HMGET', ARGV[1] .. row[1], unpack(fields))
  reply[#reply + 1] = row
end
return reply
