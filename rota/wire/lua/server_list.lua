-- Puts one server on a list of all servers, or takes it off.
--
-- KEYS  1 the list: sorted set of record keys by the Unix second they expire
-- ARGV  1 key of the server's record, 2 seconds to live (0 = take it off)
--! include clock
--! include listed
list(KEYS[1], ARGV[1], ARGV[2])
