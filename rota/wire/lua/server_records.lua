-- Fragment: replaces the records of one server and of its running tasks, and exchanges answers and orders with it.
-- The script has to include `clock` before.
--
-- KEYS  1 server record, 2 hash of its running tasks, 3 hash of orders to this server (only in Rota),
--       4 what this server tells about itself (only in Rota)
-- ARGV  1 seconds to live, 2 server record, 3 what it tells about itself (empty: nothing), 4 number of answers,
--       then for each answer two: id of the order, answer, then for each running task two: id, its record
-- write_records() -> { id, order, ... }: the orders that have neither an answer nor expired
-- An order comes again with each heartbeat until it is answered, in case a reply is lost. The server obeys each id once.
--! include answer_orders
local function waiting_orders(key)
  local found = {}
  local stored = redis.call('HGETALL', key)
  for i = 1, #stored, 2 do
    local expires, order = string.match(stored[i + 1], '^(%d+) (.*)$')
    if expires and string.sub(stored[i], 1, 7) ~= 'answer:' then
      if tonumber(expires) <= now then
        redis.call('HDEL', key, stored[i])
      else
        found[#found + 1] = stored[i]
        found[#found + 1] = order
      end
    end
  end
  return found
end

local function write_records()
  local answers = tonumber(ARGV[4])
  redis.call('HLEN', KEYS[3]) -- fails on a key of the wrong type, before the first write
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1])
  if ARGV[3] ~= '' then
    redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[1])
  end
  redis.call('DEL', KEYS[2])
  for i = 5 + 2 * answers, #ARGV, 2 do
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
  redis.call('EXPIRE', KEYS[2], ARGV[1])
  answer_orders(KEYS[3], 5, answers)
  return waiting_orders(KEYS[3])
end
