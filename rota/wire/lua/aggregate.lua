-- Ends an aggregation: enqueues its result and marks its set as over, both or neither.
--
-- KEYS  1 pending, 2 scheduled, 3 the set, 4 aggregation_sets, 5 sets that are over but not deleted yet (only in Rota),
--       6 failures by group (only in Rota)
-- ARGV  as for `enqueue`, with one task or none
-- Result: { code, reply }: code 0 done, 1 done before (a repeated request), 2 the set passed its deadline,
--         3 the result was refused and nothing changed; reply is the reply of `enqueue` for the task, or ""
-- The tasks of the set are deleted afterwards by bounded calls of `spend`, by any worker that finds the set in key 5.
--! include clock
local deadline = redis.call('ZSCORE', KEYS[4], KEYS[3])
if not deadline then
  return { redis.call('SISMEMBER', KEYS[5], KEYS[3]) == 1 and 1 or 2, '' }
elseif tonumber(deadline) <= now then
  -- A worker that sweeps may have begun to put its tasks back into the group.
  return { 2, '' }
end
redis.call('SCARD', KEYS[5]) -- reads that fail on a key of the wrong type, before the first write
redis.call('HLEN', KEYS[6])
local function add_result()
--! include enqueue
end
local replies = add_result()
if replies.err then
  return replies
end
local reply = replies[1] or ''
if type(reply) == 'table' and reply[1] ~= 'replaced' then
  return { 3, reply }
end
redis.call('SADD', KEYS[5], KEYS[3])
redis.call('ZREM', KEYS[4], KEYS[3])
redis.call('HDEL', KEYS[6], string.match(string.sub(KEYS[3], #ARGV[1] + 3), '^(.*):[^:]*$'))
return { 0, reply }
