-- Fragment: with_text(msg, number, text) -> message, or nil if the bytes are not a message: sets a text of an encoded
-- TaskMessage. It stands where the first one stood, so a task that is moved and moved back has the bytes that its producer
-- wrote. Every older one is cut out, because `field` reads the first of two, and protobuf the last.
--! include field
--! include varint
local function with_text(msg, number, text)
  local at
  local value, first, last = field(msg, number)
  while value do
    at = at or first
    msg = string.sub(msg, 1, first - 1) .. string.sub(msg, last + 1)
    value, first, last = field(msg, number)
  end
  at = at or first
  local encoded = string.char(number * 8 + 2) .. encoded_varint(#text) .. text
  return first and string.sub(msg, 1, at - 1) .. encoded .. string.sub(msg, at)
end
