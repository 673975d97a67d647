-- Fragment: encoded_varint(number) -> the bytes of a whole number in protobuf.
local function encoded_varint(number)
  local bytes = ''
  while number > 127 do
    bytes = bytes .. string.char(number % 128 + 128)
    number = math.floor(number / 128)
  end
  return bytes .. string.char(number)
end
