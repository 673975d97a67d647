-- Fragment: counts outcomes by the minute and in total, in hashes that only Rota has.
-- count_minute(prefix, begin, names, numbers): adds to the counts. `prefix` is the beginning of the keys, as
--   `QueueKeys.minute_prefix`. The name of a count is `<count>:<type>`, as `rota.wire.minute` describes. `begin` is
--   `begin_minute` (see `open_minute`), or nil in scripts that may not open a minute.
-- counts_of_words(first) -> names, numbers: reads them from ARGV. ARGV[first] is the number of words that follow it, and
--   these are names and numbers in turn.
-- count_without_runs(base, processed, failed): notes in the total what Rota's scripts count without the run of a worker,
--   such as the members of a group, so that it is not taken for the work of Go servers.
-- minute_prefix(base): the prefix of the queue whose keys begin with `base`, as `QueueKeys.minute_prefix`.
-- Three kinds of keys follow the prefix:
--   `open`   the counts of one minute, which are not in the total yet. It does not expire, because the queue may be idle
--            for days. The field `minute` is the number of the minute since 1970. While the counts of the minute that
--            was open before are being added to the total, that number and the number of its types that have been added
--            follow, after spaces. The fields `type_<number>` name the types.
--   <number> the counts of a minute that was open before, or was never open
--   `total`  the counts of all time, without those of the open minute
-- A batch of the open minute writes one hash. Counts for any other minute go to the hash of that minute and to the total
-- at once, for example after the server's clock was set back.
-- Each type has the count `n`, and the field `types` is the number of types. Types beyond MOST_TYPES, and types with a
-- long name, are counted together, in fields without a colon: names of types come from producers, who may write an ID
-- into each. A type gets counts in the total with its first count, and counts without a colon are never only in the open
-- minute. So the total has the same types as if each batch was added to it, and the sum of the total and the open minute
-- never falls.
-- The outcomes have been written by then, so a key of the wrong type is ignored: an error here would leave the script
-- half done.
--! include clock
local MOST_TYPES, LONGEST_TYPE, MINUTE_SECONDS = 100, 200, 7200

local function minute_prefix(base)
  local rest = string.match(base, '^asynq:(.*)$')
  return rest and 'rota:' .. rest .. 'minute:' or base .. 'rota:minute:'
end

local function counts_of_words(first)
  local names, numbers, index = {}, {}, 0
  for i = first + 1, first + tonumber(ARGV[first]), 2 do
    index = index + 1
    names[index], numbers[index] = ARGV[i], ARGV[i + 1]
  end
  return names, numbers
end

-- Returns the names with those of some types put together, and the sums of the numbers.
local function put_together(names, numbers, others)
  local kept, sums, index_of = {}, {}, {}
  for i, name in ipairs(names) do
    local count, type = string.match(name, '^(%w+):(.*)$')
    if count and others[type] then name = count end
    local index = index_of[name] or #kept + 1
    index_of[name], kept[index] = index, name
    sums[index] = (sums[index] or 0) + numbers[i]
  end
  return kept, sums
end

-- Returns the open minute, the minute that is being added to the total, and how many of its types have been added; nil for
-- what is missing.
local function minutes_of(field)
  if not field then return nil end
  local open, folding, folded = string.match(field, '^(%d+) ?(%d*) ?(%d*)$')
  if folding == '' then return open end
  return open, folding, folded
end

-- Returns the fields `minute` and `types` of a hash and these counts; nil for a key of the wrong type.
local function read_counts(key, names)
  local old = redis.pcall('HMGET', key, 'minute', 'types', unpack(names))
  return not old.err and old or nil
end

-- Adds to a hash, for which `read_counts` has returned `old`. Returns the names `n:<type>` of new types, and which types
-- did not fit (nil if all did).
local function add_counts(key, names, numbers, old)
  local before_them = tonumber(old[2] or 0) or 0
  local types, new, others = before_them, {}, nil
  local words = { 'types', types }
  for i, name in ipairs(names) do
    local before = old[i + 2]
    if not before and string.sub(name, 1, 2) == 'n:' then
      if types < MOST_TYPES and #name - 2 <= LONGEST_TYPE then
        types = types + 1
        new[#new + 1] = name
      else
        others = others or {}
        others[string.sub(name, 3)] = true
      end
    end
    words[2 * i + 1], words[2 * i + 2] = name, (before and tonumber(before) or 0) + numbers[i]
  end
  if others then
    names, numbers = put_together(names, numbers, others)
    old = read_counts(key, names)
    if old then add_counts(key, names, numbers, old) end -- now all types fit
    return new, others
  end
  words[2] = types
  if old[1] then -- the open minute
    for i, name in ipairs(new) do
      words[#words + 1], words[#words + 2] = 'type_' .. before_them + i, string.sub(name, 3)
    end
  end
  redis.pcall('HSET', key, unpack(words))
  return new, others
end

local function add_to_total(prefix, names, numbers)
  local old = #names > 0 and read_counts(prefix .. 'total', names)
  if old then add_counts(prefix .. 'total', names, numbers, old) end
end

local function expire_minute(prefix, number)
  -- EXPIREAT, because `count` needs the right for it already, and a further one would be missing in ACLs that exist.
  redis.pcall('EXPIREAT', prefix .. number, string.format('%.0f', (number + 1) * 60 + MINUTE_SECONDS))
end

-- Adds to the open minute, and to the total the new types with 0, and the counts of types that did not fit.
local function add_to_open(prefix, names, numbers, old)
  local total_names, total_numbers = {}, {}
  local new, others = add_counts(prefix .. 'open', names, numbers, old)
  for i, name in ipairs(new) do
    total_names[i], total_numbers[i] = name, 0
  end
  if others then
    for i, name in ipairs(names) do
      if others[string.match(name, '^%w+:(.*)$')] then
        total_names[#total_names + 1], total_numbers[#total_names + 1] = name, numbers[i]
      end
    end
  end
  add_to_total(prefix, total_names, total_numbers)
end

local function count_minute(prefix, begin, names, numbers)
  if #names == 0 then return end
  local number = string.format('%.0f', math.floor(now / 60))
  local old = read_counts(prefix .. 'open', names)
  if old and old[1] ~= number and begin and begin(prefix, number, old[1]) then
    old = read_counts(prefix .. 'open', names)
  end
  local open, folding = minutes_of(old and old[1])
  if open == number then return add_to_open(prefix, names, numbers, old) end
  -- If the clock was set back into the minute that is being added, its hash must not change, so only the total has them.
  old = folding ~= number and read_counts(prefix .. number, names)
  if old then
    add_counts(prefix .. number, names, numbers, old)
    if not old[2] then expire_minute(prefix, number) end
  end
  add_to_total(prefix, names, numbers)
end

local function count_without_runs(base, processed, failed)
  for name, number in pairs({ processed = processed, failed = failed }) do
    if number > 0 then redis.pcall('HINCRBY', minute_prefix(base) .. 'total', 'without_runs_' .. name, number) end
  end
end
