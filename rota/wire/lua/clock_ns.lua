-- Fragment: reads the server's clock.
--   now_ns  nanoseconds since 1970 (a Lua number cannot hold them exactly)
local time_reply = redis.call('TIME')
-- string.format is not used because it converts the text to a number first, which takes as long as the whole fragment.
local now_ns = time_reply[1] .. string.rep('0', 6 - #time_reply[2]) .. time_reply[2] .. '000'
