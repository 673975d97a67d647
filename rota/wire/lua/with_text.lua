-- Fragment: with_text(msg, number, text) -> message, or nil if the bytes are not a message: sets a text of an encoded
-- TaskMessage. The old text is replaced, because `field` reads the first of two.
--! include field
--! include varint
local function with_text(msg, number, text)
  local _, first, last = field(msg, number)
  if not first then
    return nil
  end
  local encoded = string.char(number * 8 + 2) .. encoded_varint(#text) .. text
  return string.sub(msg, 1, first - 1) .. encoded .. string.sub(msg, last + 1)
end
