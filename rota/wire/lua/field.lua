-- Fragment: field(msg, number) -> text, number or nil; first, last: decodes one field of an encoded TaskMessage. The
-- fields 1, 3, 4, 7, 10 and 14 are texts; 5, 6, 8, 9, 11, 12 and 13 are numbers; an absent field is nil.
-- `first` and `last` are the positions of its bytes; those of an absent field are behind the end.
-- Returns nothing if the bytes up to the field, or all of them, are not a message: most callers treat that like an absent
-- field. If a field occurs twice, this is the first one.
local function field(msg, number)
  local at, size = 1, #msg
  local function varint()
    local value, scale = 0, 1
    while at <= size do
      local byte = string.byte(msg, at)
      at = at + 1
      value = value + (byte % 128) * scale
      if byte < 128 then
        return value
      end
      scale = scale * 128
    end
  end
  while at <= size do
    local first = at
    local tag = varint()
    local kind = tag and tag % 8
    if kind == 0 then
      local value = varint()
      if not value then
        return nil
      end
      if tag == number * 8 then
        return value, first, at - 1
      end
    elseif kind == 1 then
      at = at + 8
    elseif kind == 5 then
      at = at + 4
    elseif kind == 2 then
      local length = varint()
      if not length or at + length - 1 > size then
        return nil
      end
      if tag == number * 8 + 2 then
        return string.sub(msg, at, at + length - 1), first, at + length - 1
      end
      at = at + length
    else
      return nil
    end
  end
  if at == size + 1 then
    return nil, at, size
  end
end

