-- Reads one task by its ID, and its score in each of several sorted sets.
--
-- KEYS  1 task hash, then the sorted sets
-- ARGV  1 ID, then the fields to read
-- Result: { Redis time in seconds (text), { fields }, { score in each set } }
--! include clock
local scores = {}
for i = 2, #KEYS do
  scores[#scores + 1] = redis.call('ZSCORE', KEYS[i], ARGV[1])
end
local fields = {}
for i = 2, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
return { string.format('%.6f', now), redis.call('HMGET', KEYS[1], unpack(fields)), scores }
