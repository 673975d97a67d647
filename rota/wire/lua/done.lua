-- Records a batch of plain successes of one queue (no retention, no lock). The fast path of `record`.
--
-- KEYS  1 active, 2 lease
-- ARGV  1 key base, 2 task key prefix, 3 channel prefix, 4 prefix of the keys of minutes, 5 number of words of the counts,
--       then these words (see `minute`), then for each task two: id, attempt token
-- Result: { index, code, ... } of the tasks that were not recorded now (codes in `standing`), empty if all were.
-- The counts by minute are added only if no task is refused, because they are those of the whole batch.
--! include clock
--! include count
--! include announce
--! include deactivate
--! include open_minute
--! include standing
local FIRST = 6 + tonumber(ARGV[5])
local all_ids, ids, keys, refused, waited = {}, {}, {}, {}, {}
for i = FIRST, #ARGV, 2 do
  all_ids[#all_ids + 1] = ARGV[i]
end
if #all_ids == 0 then return refused end
local leases = redis.call('ZMSCORE', KEYS[2], unpack(all_ids))
for i = FIRST, #ARGV, 2 do
  local key = ARGV[2] .. ARGV[i]
  local row = redis.call('HMGET', key, 'rota_token', 'state', 'rota_wait')
  local code = standing(row, ARGV[i + 1], '', leases[(i - FIRST) / 2 + 1])
  if code == 0 then
    ids[#ids + 1] = ARGV[i]
    keys[#keys + 1] = key
    if row[3] then waited[#waited + 1] = ARGV[i] end
  else
    refused[#refused + 1] = (i - FIRST) / 2
    refused[#refused + 1] = code
  end
end
if #ids == 0 then return refused end
deactivate(KEYS[1], KEYS[2], ids)
redis.call('DEL', unpack(keys))
count(ARGV[1], #ids, 0)
if #refused == 0 then count_minute(ARGV[4], begin_minute, counts_of_words(5)) end
for _, id in ipairs(waited) do announce(ARGV[3] .. id, 'completed', '') end
return refused
