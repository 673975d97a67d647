-- Fragment: the server's clock, as the forms the scripts need: `now_ns` of clock_ns, and
--   now     seconds since 1970 as a number, with microseconds
--! include clock_ns
local now = tonumber(time_reply[1]) + tonumber(time_reply[2]) / 1000000
