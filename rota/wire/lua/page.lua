-- Fragment: one page of `active`, for scripts that are called until nothing is left.
-- page_of(key, oldest, page) -> ids, left
--   oldest  only so many of the oldest are still to be looked at ("" = all)
--   page    how many to look at now: the youngest of these
--   left    what to pass as `oldest` next; 0 at the end
-- Between two calls IDs leave anywhere and come at the young end only. So one goes from there towards the oldest, and
-- counts from the oldest: an ID that leaves may bring one that was seen into what is left, but takes none out of it.
local function page_of(key, oldest, page)
  local upto = math.min(tonumber(oldest) or math.huge, redis.call('LLEN', key))
  local left = math.max(0, upto - page)
  return upto > 0 and redis.call('LRANGE', key, -upto, -left - 1) or {}, left
end
