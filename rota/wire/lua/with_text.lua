-- Fragment: with_text(msg, number, text) -> message, or nil if the bytes are not a message: sets a text of an encoded
-- TaskMessage. Every older one is cut out, because `field` reads the first of two, and protobuf the last.
--! include field
--! include varint
local function with_text(msg, number, text)
  local value, first, last = field(msg, number)
  while value do
    msg = string.sub(msg, 1, first - 1) .. string.sub(msg, last + 1)
    value, first, last = field(msg, number)
  end
  return first and msg .. string.char(number * 8 + 2) .. encoded_varint(#text) .. text
end
