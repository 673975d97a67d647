-- Fragment: the server's clock, as the forms the scripts need.
--   now     seconds since 1970 as a number, with microseconds
--   now_ns  nanoseconds since 1970 as text (a Lua number cannot hold them exactly)
local time_reply = redis.call('TIME')
local now = tonumber(time_reply[1]) + tonumber(time_reply[2]) / 1000000
local now_ns = time_reply[1] .. string.format('%06d000', time_reply[2])
