-- Fragment: increments the counters of one queue.
-- count(base, processed, failed): adds these numbers to Asynq's counters; 0 does not write. `base` is the prefix of the
-- queue's keys.
-- count_crashes(key, crashes): adds to the counter of crashes, which only Rota has; `key` is its whole name.
-- The counted changes are written by then, so a counter that is not a number is ignored: an error here would leave the
-- script half done.
-- Day counters expire 90 days after their first increment. Lifetime counters are reset before they exceed a signed
-- 64-bit integer. As in Asynq, only `processed` is compared, and `failed` is reset with it.
--! include clock
local function date_of(seconds)
  -- Converts days since the epoch to a date of the Gregorian calendar, because os.date is not available in Redis.
  local days = math.floor(seconds / 86400) + 719468
  local era = math.floor(days / 146097)
  local of_era = days - era * 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365
  )
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local day = of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day)
end

local function add(key, more, full, date, expires)
  if redis.pcall('INCRBY', key .. ':' .. date, more) == more then
    redis.call('EXPIREAT', key .. ':' .. date, expires)
  end
  if full then
    redis.call('SET', key, more)
  else
    redis.pcall('INCRBY', key, more)
  end
end

local function count(base, processed, failed)
  local seconds = math.floor(now)
  local date, expires = date_of(seconds), seconds + 90 * 86400
  local so_far = redis.pcall('GET', base .. 'processed')
  local full = (type(so_far) == 'string' and tonumber(so_far) or 0) + processed >= 2 ^ 63 - 512
  if processed > 0 then
    add(base .. 'processed', processed, full, date, expires)
  end
  if failed > 0 then
    add(base .. 'failed', failed, full, date, expires)
  end
end

local function count_crashes(key, crashes)
  if crashes > 0 then
    add(key, crashes, false, date_of(math.floor(now)), math.floor(now) + 90 * 86400)
  end
end
