-- Fragment: returns one page of `active`, for scripts that are called until nothing is left.
-- page_of(key, oldest, page) -> ids, left
--   oldest  number of the oldest IDs that are left to look at ("" = all)
--   page    how many of them to look at now, starting with the youngest
--   left    value for `oldest` in the next call; 0 at the end
-- Between two calls IDs may be removed anywhere, but new IDs are added only at the young end. So the pages go from the
-- youngest to the oldest, and positions are counted from the oldest. Then a removal can cause an ID to be looked at
-- twice, but never to be skipped.
local function page_of(key, oldest, page)
  local upto = math.min(tonumber(oldest) or math.huge, redis.call('LLEN', key))
  local left = math.max(0, upto - page)
  return upto > 0 and redis.call('LRANGE', key, -upto, -left - 1) or {}, left
end
