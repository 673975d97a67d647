-- Returns one page of the tasks of one state, in the order in which they will run. Reads only.
--
-- KEYS  1 list or sorted set of IDs, 2 lease
-- ARGV  1 task key prefix, 2 list or zset, 3 start, 4 number, 5 most bytes of fields in the reply (one task is always
--       read, however large), 6 number of marks, then the marks of the page before, after which this one goes on instead
--       of at `start`: of a set the score and the ID, of a list the position and the last IDs; then the fields to read
-- Result: { Redis time in seconds (text), length of 1, start, { ID, score or lease, { fields } }, ... }, with fewer tasks
--         than asked for if the reply is full; start is -n if the position after the marks is not among the IDs that one
--         call looks at: call again with the position n
--! include clock
--! include hash
--! include after
local start, count, most, marks = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local is_list = ARGV[2] == 'list'
local total = redis.call(is_list and 'LLEN' or 'ZCARD', KEYS[1])
local reply = { string.format('%.6f', now), total }
if marks > 0 and is_list then
  local position, left = after_in_list(KEYS[1], tonumber(ARGV[7]), { unpack(ARGV, 8, 6 + marks) })
  if not position then
    reply[3] = -left
    return reply
  end
  start = position
elseif marks > 0 then
  start = after_in_set(KEYS[1], ARGV[7], ARGV[8])
end
reply[3] = start

local found = {}
if is_list then
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

local fields, bytes = { unpack(ARGV, 7 + marks) }, 0
for _, row in ipairs(found) do
  row[3] = hash(ARGV[1] .. row[1], unpack(fields))
  for n = 1, #fields do
    row[3][n] = row[3][n] or false -- also of a key that is not a hash
    bytes = bytes + (row[3][n] and #row[3][n] or 0)
  end
  if bytes > most and #reply > 3 then break end
  reply[#reply + 1] = row
end
return reply
