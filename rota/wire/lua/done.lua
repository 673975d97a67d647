-- Records a batch of plain successes of one queue (no retention, no lock). The fast path of `record`.
--
-- KEYS  1 active, 2 lease
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 prefix of the keys of minutes, 5 number of words of the counts,
--       then these words (see `minute`), then one part for each attempt token: token, number of tasks, their ids
-- Result: { index, code, ... } of the tasks that were not recorded now (codes in `standing`), empty if all were.
-- The counts by minute are added only if no task is refused, because they are those of the whole batch.
--! include clock
--! include count
--! include announce
--! include deactivate
--! include open_minute
--! include standing
local all_ids, tokens, ids, keys, refused, waited = {}, {}, {}, {}, {}, {}
local at, size, recorded = 6 + tonumber(ARGV[5]), 0, 0
while at < #ARGV do
  local token, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  for i = at + 2, last do
    size = size + 1
    all_ids[size], tokens[size] = ARGV[i], token
  end
  at = last + 1
end
if size == 0 then return refused end
local leases = redis.call('ZMSCORE', KEYS[2], unpack(all_ids))
for n, id in ipairs(all_ids) do
  local key = ARGV[2] .. id
  local row = redis.call('HMGET', key, 'rota_token', 'state', 'rota_wait')
  local code = standing(row, tokens[n], '', leases[n])
  if code == 0 then
    recorded = recorded + 1
    ids[recorded], keys[recorded] = id, key
    if row[3] then waited[#waited + 1] = id end
  else
    refused[#refused + 1] = n - 1
    refused[#refused + 1] = code
  end
end
if recorded == 0 then return refused end
deactivate(KEYS[1], KEYS[2], ids)
redis.call('DEL', unpack(keys))
count(ARGV[1], recorded, 0)
if #refused == 0 then count_minute(ARGV[4], begin_minute, counts_of_words(5)) end
for _, id in ipairs(waited) do announce(ARGV[3] .. id, 'completed', '') end
return refused
