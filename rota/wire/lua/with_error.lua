-- Fragment: sets the error text of a message, and the current time as the time of its last failure.
-- with_error(msg, text) -> message. If a protobuf field occurs twice, the last one counts, so `error_msg` (7) and
-- `last_failed_at` (11) are appended.
--! include clock
--! include varint
local function with_error(msg, text)
  return msg .. '\58' .. encoded_varint(#text) .. text .. '\88' .. encoded_varint(math.floor(now))
end
