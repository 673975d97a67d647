-- Fragment: counts outcomes by the minute and in total. Both are hashes that only Rota has.
-- count_minute(prefix, names, numbers): adds to the counts. `prefix` is the beginning of the keys; the number of the
--   minute since 1970 follows it, or `total`. The name of a count is `<count>:<type>`, as `rota.wire.minute` describes.
-- counts_of_words(first) -> names, numbers: reads them from ARGV. ARGV[first] is the number of words that follow it, and
--   these are names and numbers in turn.
-- count_without_runs(base, processed, failed): notes in the total what Rota's scripts count without the run of a worker,
--   such as the members of a group, so that it is not taken for the work of Go servers.
-- minute_prefix(base): the prefix of the queue whose keys begin with `base`, as `QueueKeys.minute_prefix`.
-- Each type has the count `n`, and the field `types` is the number of types. Types beyond MOST_TYPES, and types with a
-- long name, are counted together, in fields without a colon: names of types come from producers, who may write an ID
-- into each.
-- The outcomes have been written by then, so a key of the wrong type is ignored: an error here would leave the script
-- half done.
--! include clock
local MOST_TYPES, LONGEST_TYPE, MINUTE_SECONDS = 100, 200, 7200

local function minute_prefix(base)
  local rest = string.match(base, '^asynq:(.*)$')
  return rest and 'rota:' .. rest .. 'minute:' or base .. 'rota:minute:'
end

local function counts_of_words(first)
  local names, numbers, place = {}, {}, 0
  for i = first + 1, first + tonumber(ARGV[first]), 2 do
    place = place + 1
    names[place], numbers[place] = ARGV[i], ARGV[i + 1]
  end
  return names, numbers
end

-- Returns the names with those of some types put together, and the sums of the numbers.
local function put_together(names, numbers, others)
  local kept, sums, place_of = {}, {}, {}
  for i, name in ipairs(names) do
    local count, type = string.match(name, '^(%w+):(.*)$')
    if count and others[type] then name = count end
    local place = place_of[name] or #kept + 1
    place_of[name], kept[place] = place, name
    sums[place] = (sums[place] or 0) + numbers[i]
  end
  return kept, sums
end

-- Returns whether the hash is new. `is_again`: types that do not fit are put together already.
local function add_counts(key, names, numbers, is_again)
  local old = redis.pcall('HMGET', key, 'types', unpack(names))
  if old.err then return false end
  local types, others = tonumber(old[1] or 0) or 0, nil
  local words = { 'types', types }
  for i, name in ipairs(names) do
    local before = old[i + 1]
    if not before and string.sub(name, 1, 2) == 'n:' then
      if types < MOST_TYPES and #name - 2 <= LONGEST_TYPE then
        types = types + 1
      else
        others = others or {}
        others[string.sub(name, 3)] = true
      end
    end
    words[2 * i + 1], words[2 * i + 2] = name, (before and tonumber(before) or 0) + numbers[i]
  end
  if others and not is_again then
    names, numbers = put_together(names, numbers, others)
    return add_counts(key, names, numbers, true)
  end
  words[2] = types
  redis.pcall('HSET', key, unpack(words))
  return not old[1]
end

local function count_minute(prefix, names, numbers)
  if #names == 0 then return end
  local key = prefix .. string.format('%.0f', math.floor(now / 60))
  -- EXPIREAT, because `count` needs the right for it already, and a further one would be missing in ACLs that exist.
  if add_counts(key, names, numbers) then redis.pcall('EXPIREAT', key, math.floor(now) + MINUTE_SECONDS) end
  add_counts(prefix .. 'total', names, numbers)
end

local function count_without_runs(base, processed, failed)
  for name, number in pairs({ processed = processed, failed = failed }) do
    if number > 0 then redis.pcall('HINCRBY', minute_prefix(base) .. 'total', 'without_runs_' .. name, number) end
  end
end
