-- Reads tasks of one queue by their IDs, in the order of the IDs. Reads only.
--
-- KEYS  1 lease, 2 scheduled, 3 retry, 4 archived, 5 completed
-- ARGV  1 task key prefix, 2 most bytes of fields in the reply (one task is always read, however large),
--       3 number of fields, then the fields to read, of which the second is `state`, then the IDs
-- Result: { Redis time in seconds (text), { { fields }, score in the set of its state or false }, ... }, with fewer
--         tasks than IDs if the reply is full
--! include clock
--! include hash
local SETS = { active = KEYS[1], scheduled = KEYS[2], retry = KEYS[3], archived = KEYS[4], completed = KEYS[5] }
local most, fields = tonumber(ARGV[2]), { unpack(ARGV, 4, 3 + tonumber(ARGV[3])) }
local reply, bytes = { string.format('%.6f', now) }, 0
for i = 4 + #fields, #ARGV do
  local row, score = hash(ARGV[1] .. ARGV[i], unpack(fields)), false
  for n = 1, #fields do
    row[n] = row[n] or false -- also of a key that is not a hash, so that the reply has a value for each field
    bytes = bytes + (row[n] and #row[n] or 0)
  end
  if bytes > most and #reply > 1 then break end
  if SETS[row[2]] then
    score = redis.pcall('ZSCORE', SETS[row[2]], ARGV[i])
    score = type(score) == 'string' and score -- a set of the wrong type must not hide the task
  end
  reply[#reply + 1] = { row, score }
end
return reply
