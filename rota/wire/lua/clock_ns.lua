-- Fragment: the server's clock as text.
--   now_ns  nanoseconds since 1970 (a Lua number cannot hold them exactly)
local time_reply = redis.call('TIME')
-- Not by string.format, which reads the text as a number first: it costs as much as the rest of this fragment.
local now_ns = time_reply[1] .. string.rep('0', 6 - #time_reply[2]) .. time_reply[2] .. '000'
