-- Reads what decides when one task runs. Reads only.
--
-- KEYS  1 task hash, 2 pending, 3 active, 4 scheduled, 5 retry, 6 lease, 7 processed
-- ARGV  1 ID, 2 key base, 3 task key prefix, 4 most tasks of a list to look at for the position of the task,
--       then the fields to read, of which the first are state, msg, unique_key and group
-- Result: { Redis time in seconds (text), { fields }, tasks before it in pending, or -1 if it is not among those looked at,
--           length of pending, 1 if it is in active, score in scheduled, score in retry, score in lease, processed,
--           ID and state of the holder of its lock, score in its group, size of the group, oldest score of the group }
--         (false for what there is none of)
--! include clock
--! include hash
--! include field
--! include holder
local function asked(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then return false end
    error(reply)
  end
  return reply
end

local id, base, prefix, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fields = { unpack(ARGV, 5) }
local row = hash(KEYS[1], unpack(fields))
for i = 1, #fields do
  row[i] = row[i] or false
end
local state = row[1]
local at = state == 'pending' and asked('LPOS', KEYS[2], id, 'RANK', '-1', 'MAXLEN', most)
local length = asked('LLEN', KEYS[2]) or 0
local active = state == 'active' and asked('LPOS', KEYS[3], id, 'MAXLEN', most)
local reply = {
  string.format('%.6f', now), row, at and length - 1 - at or -1, length, active and 1 or 0,
  asked('ZSCORE', KEYS[4], id), asked('ZSCORE', KEYS[5], id), asked('ZSCORE', KEYS[6], id), asked('GET', KEYS[7]),
  false, false, false, 0, false,
}
local lock = row[3] or field(row[2] or '', 10)
-- A name outside the queue's keys is ignored, because in a Cluster it could be in another slot.
if lock and string.sub(lock, 1, #base) == base and redis.call('TYPE', lock).ok == 'string' then
  local owner, owner_state = holder(lock, prefix)
  reply[10], reply[11] = owner or false, owner_state or false
end
if row[4] and state == 'aggregating' then
  local group = base .. 'g:' .. row[4]
  local oldest = asked('ZRANGE', group, 0, 0, 'WITHSCORES')
  reply[12], reply[13], reply[14] = asked('ZSCORE', group, id), asked('ZCARD', group) or 0, oldest and oldest[2] or false
end
return reply
