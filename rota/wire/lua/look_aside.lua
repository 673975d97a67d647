-- Lists tasks that are aside: on their way to another queue, or to the store before their deletion. Reads only.
-- KEYS  1 tasks that are aside (only in Rota)
-- ARGV  1 prefix of the task hashes, 2 seconds for which a task must have been aside, 3 first rank, 4 number
-- Result: { number of ids that were read, { id, queue to which it goes ("" for the store), second }, ... }
--! include clock
--! include aside
local ids = redis.call('ZRANGE', KEYS[1], '-inf', now - tonumber(ARGV[2]), 'BYSCORE', 'LIMIT', ARGV[3], ARGV[4], 'WITHSCORES')
local found = { #ids / 2 }
for i = 1, #ids, 2 do
  local row = redis.call('HMGET', ARGV[1] .. ids[i], 'state', 'rota_aside', 'msg')
  local aside = aside_of(row[1], row[2], row[3])
  if aside then
    found[#found + 1] = { ids[i], aside.to, ids[i + 1] }
  end
end
return found
