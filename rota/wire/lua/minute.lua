-- Fragment: counts outcomes by the minute and in total. Both are hashes that only Rota has.
-- count_minute(prefix, counts): `prefix` is the beginning of the keys; the number of the minute since 1970 follows it, or
--   `total`. `counts` is a list of { type, name, number, name, number, ... }, as `rota.wire.minute` describes them.
-- count_without_runs(base, processed, failed): notes in the total what Rota's scripts count without the run of a worker,
--   such as the members of a group, so that it is not taken for the work of Go servers.
-- minute_prefix(base): the prefix of the queue whose keys begin with `base`, as `QueueKeys.minute_prefix`.
-- counts_of_words(first) -> counts: reads them from ARGV. ARGV[first] is the number of words that follow it; for each
--   type these are the type, the number of its names, and a name and a number for each.
-- The field of a count is `name:type`. Each type has the field `n:type`, and `types` is their number. Types beyond
-- MOST_TYPES, and types with a long name, are counted together, in fields without a colon: names of types come from
-- producers, who may write an ID into each.
-- The outcomes have been written by then, so a key of the wrong type is ignored: an error here would leave the script
-- half done.
--! include clock
local MOST_TYPES, LONGEST_TYPE, MINUTE_SECONDS = 100, 200, 7200

local function minute_prefix(base)
  local rest = string.match(base, '^asynq:(.*)$')
  return rest and 'rota:' .. rest .. 'minute:' or base .. 'rota:minute:'
end

local function counts_of_words(first)
  local counts, i, last = {}, first + 1, first + tonumber(ARGV[first])
  while i <= last do
    local width = 2 * tonumber(ARGV[i + 1])
    counts[#counts + 1] = { ARGV[i], unpack(ARGV, i + 2, i + 1 + width) }
    i = i + 2 + width
  end
  return counts
end

-- Returns the names of the fields, what to add to each, and the types by the places of their fields `n`.
local function fields_of_counts(counts, others)
  local names, added, types, place_of = {}, {}, {}, {}
  for _, each in ipairs(counts) do
    local ending = others[each[1]] and '' or ':' .. each[1]
    for i = 2, #each, 2 do
      local name = each[i] .. ending
      local place = place_of[name]
      if not place then
        place = #names + 1
        place_of[name], names[place], added[place] = place, name, 0
        if ending ~= '' and each[i] == 'n' then types[place] = each[1] end
      end
      added[place] = added[place] + tonumber(each[i + 1])
    end
  end
  return names, added, types
end

-- Returns whether the hash is new.
local function add_counts(key, counts)
  local others, names, added, types, old, number = {}
  repeat
    local full = false
    names, added, types = fields_of_counts(counts, others)
    old = redis.pcall('HMGET', key, 'types', unpack(names))
    if old.err then return false end
    number = tonumber(old[1] or 0) or 0
    for place, type in pairs(types) do
      if not old[place + 1] then
        if number < MOST_TYPES and #type <= LONGEST_TYPE then
          number = number + 1
        else
          others[type], full = true, true
        end
      end
    end
  until not full
  local words = { 'types', number }
  for place, name in ipairs(names) do
    words[#words + 1] = name
    words[#words + 1] = (tonumber(old[place + 1] or 0) or 0) + added[place]
  end
  redis.pcall('HSET', key, unpack(words))
  return not old[1]
end

local function count_minute(prefix, counts)
  if #counts == 0 then return end
  local key = prefix .. string.format('%.0f', math.floor(now / 60))
  -- EXPIREAT, because `count` needs the right for it already, and a further one would be missing in ACLs that exist.
  if add_counts(key, counts) then redis.pcall('EXPIREAT', key, math.floor(now) + MINUTE_SECONDS) end
  add_counts(prefix .. 'total', counts)
end

local function count_without_runs(base, processed, failed)
  for name, number in pairs({ processed = processed, failed = failed }) do
    if number > 0 then redis.pcall('HINCRBY', minute_prefix(base) .. 'total', 'without_runs_' .. name, number) end
  end
end
