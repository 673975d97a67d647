-- sizes(groups, prefix, cursor, count) -> { next cursor, { name, size, ... } }: one page of groups.
-- A page may repeat a name of another one, as SSCAN does; a small set comes whole.
local function sizes(groups, prefix, cursor, count)
  local page = redis.call('SSCAN', groups, cursor, 'COUNT', count)
  local found = {}
  for _, name in ipairs(page[2]) do
    found[#found + 1] = name
    found[#found + 1] = redis.call('ZCARD', prefix .. name)
  end
  return { page[1], found }
end
