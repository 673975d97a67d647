-- Fragment: writes the answers of a server to orders.
-- answer_orders(key, from, answers): replaces orders by answers, which begin at this argument and are two each: id, answer
-- An order stands under its id, as '<Unix second of its expiry> <order>', until its answer stands under 'answer:<id>'.
local KEPT_SECONDS = 60
local function answer_orders(key, from, answers)
  for i = from, from + 2 * answers - 2, 2 do
    redis.call('HDEL', key, ARGV[i])
    redis.call('HSET', key, 'answer:' .. ARGV[i], ARGV[i + 1])
  end
  if answers > 0 then
    redis.call('EXPIRE', key, KEPT_SECONDS)
  end
end
