-- Fragment: the server's clock: `now_ns` (see clock_ns), and
--   now     seconds since 1970 as a number, with microseconds
--! include clock_ns
local now = tonumber(time_reply[1]) + tonumber(time_reply[2]) / 1000000
