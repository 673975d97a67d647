-- Adds one server to a list of all servers, or removes it.
--
-- KEYS  1 the list: sorted set of record keys, scored by the Unix second of their expiry
-- ARGV  1 key of the server's record, 2 seconds to live (0 = remove it)
--! include clock
--! include listed
list(KEYS[1], ARGV[1], ARGV[2])
