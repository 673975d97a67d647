-- Adds one server to a list of all servers, or removes it.
--
-- KEYS  1 the list: sorted set of record keys, scored by the Unix second of their expiry,
--       2 list of published types, 3 record of the types of this server (2 and 3 may be left out)
-- ARGV  1 key of the server's record, 2 seconds to live (0 = remove it)
-- Result: 1 if the record of the types has to be written
--! include clock
--! include published
list(KEYS[1], ARGV[1], ARGV[2])
return keep(KEYS[2], KEYS[3], ARGV[1], ARGV[2])
