-- Fragment: sizes(groups, prefix, cursor, count) -> { next cursor, { name, size, ... } }: one page of groups.
-- Pages come from SSCAN, so a name may be on several pages, and a small set is returned as one page.
local function sizes(groups, prefix, cursor, count)
  local page = redis.call('SSCAN', groups, cursor, 'COUNT', count)
  local found = {}
  for _, name in ipairs(page[2]) do
    found[#found + 1] = name
    found[#found + 1] = redis.call('ZCARD', prefix .. name)
  end
  return { page[1], found }
end
