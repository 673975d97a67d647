-- Writes the last answers of a server to its orders, when it has stopped.
--
-- KEYS  1 hash of orders to this server (only in Rota)
-- ARGV  1 number of answers, then for each answer two: id of the order, answer
-- Result: 0
--! include answer_orders
answer_orders(KEYS[1], 2, tonumber(ARGV[1]))
return 0
