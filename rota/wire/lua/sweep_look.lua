-- Finds out what is to be done in some queues. Reads only, except for the election.
--
-- KEYS  the election (only in Rota) if a worker is given, then for each queue nine:
--       pending, active, lease, paused, scheduled, retry, completed, archived, aggregation_sets
-- ARGV  1 ID of the worker ("" = no election), 2 for how many ms from now it is elected,
--       3 seconds since a lease of Rota must have expired to count as dead, 4 the same for a lease of Go (not less),
--       5 most archived tasks to keep, 6 longest time to keep them in seconds,
--       7 how many seconds ahead to look for leases that will expire
-- Result: {} if another worker is elected, else { Redis time in seconds (text), for each queue two: what to do (a sum of
--         the numbers below), seconds until the next lease counts as dead, of those expired or about to expire (text,
--         "" = none) }
--   1 scheduled or retry tasks are due   2 tasks are pending and the queue is not paused
--   4 completed tasks are expired   8 the archive is too large or too old   16 attempts are dead
--   32 aggregation sets are past their deadline   64 `active` and `lease` differ in length   128 the queue has tasks
--   256 a key has the wrong type, so nothing is known of the queue: each step has to find out for itself
--! include clock
--! include election
--! include whose
local LOOKED_AT = 100
local ours, theirs, ahead = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[7])

local function first_by(key, at)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) <= at
end

-- Returns whether a lease counts as dead already, and in how many seconds the next one will. If there are more expired
-- leases than it looks at, it returns true, because a dead lease of Rota may be behind many leases of Go.
local function deaths(key)
  local over = redis.call('ZRANGE', key, '-inf', now + ahead, 'BYSCORE', 'LIMIT', 0, LOOKED_AT, 'WITHSCORES')
  local more = #over == 2 * LOOKED_AT
  local dead, soonest = more, more and 1 or nil
  for i = 2, #over, 2 do
    local left = tonumber(over[i]) + (is_ours(over[i]) and ours or theirs) - now
    if left <= 0 then
      dead = true
    else
      soonest = math.min(soonest or left, left)
    end
  end
  return dead, soonest
end

local function look(k)
  local active, leased = redis.call('LLEN', KEYS[k + 1]), redis.call('ZCARD', KEYS[k + 2])
  local waiting = redis.call('EXISTS', KEYS[k]) == 1
  local archived, dead, soonest = redis.call('ZCARD', KEYS[k + 7]), deaths(KEYS[k + 2])
  local flags = 0
  local function flag(number, needed)
    flags = needed and flags + number or flags
  end
  flag(1, first_by(KEYS[k + 4], now) or first_by(KEYS[k + 5], now))
  flag(2, waiting and redis.call('EXISTS', KEYS[k + 3]) == 0)
  flag(4, first_by(KEYS[k + 6], now))
  flag(8, archived > tonumber(ARGV[5]) or first_by(KEYS[k + 7], now - tonumber(ARGV[6])))
  flag(16, dead)
  flag(32, first_by(KEYS[k + 8], math.floor(now)))
  flag(64, active ~= leased)
  flag(128, waiting or active > 0 or leased > 0 or archived > 0
    or redis.call('EXISTS', KEYS[k + 4], KEYS[k + 5], KEYS[k + 6]) > 0)
  return flags, soonest and string.format('%.3f', soonest) or ''
end

local first = 1
if ARGV[1] ~= '' then
  if not is_elected(KEYS[1], ARGV[1], ARGV[2]) then
    return {}
  end
  first = 2
end
local found = { string.format('%.6f', now) }
for k = first, #KEYS, 9 do
  local done, flags, dead = pcall(look, k)
  found[#found + 1] = done and flags or 256
  found[#found + 1] = done and dead or ''
end
return found
