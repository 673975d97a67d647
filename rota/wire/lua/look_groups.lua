-- Returns one page of the groups of a queue with their sizes. Reads only.
--
-- KEYS  1 groups
-- ARGV  1 group key prefix, 2 cursor, 3 approximate number
-- Result: { next cursor (0 at the end), { name, size, ... } }
--! include look_sizes
return sizes(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
