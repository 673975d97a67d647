-- Replaces the records of one server and of its running tasks, and reads the orders to it.
--
-- KEYS, ARGV  as for the fragment `server_records`
-- Result: { 0, { id, order, ... } }
--! include clock
--! include server_records
return { 0, write_records() }
