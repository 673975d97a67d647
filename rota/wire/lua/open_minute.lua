-- Fragment: makes the present minute the open one, and adds the counts of the minute before to the total (see `minute`).
-- begin_minute(prefix, number, field) -> whether the open minute has changed: opens the minute `number` if it is later
--   than the open one, and adds counts of the minute that was open before. `field` is the field `minute` of the open
--   minute, or false.
-- A minute may have 100 types of 112 counts, which would take the server 20 ms. So of a hash with more than FIELDS_AT_ONCE
-- fields one call adds TYPES_AT_ONCE types, and the calls that follow add the others. Until all are added, no further
-- minute is opened.
-- It is not part of `minute`, because the roles producer and repairer run scripts that count but may not RENAME.
--! include minute
local FIELDS_AT_ONCE, TYPES_AT_ONCE, LAST_BUCKET, UNFOLDED_SECONDS = 1000, 10, 52, 90 * 86400

local function fold_all(prefix, key)
  local fields, names, numbers = redis.pcall('HGETALL', key), {}, {}
  for i = 1, #fields, 2 do
    local type = string.match(fields[i], '^%w+:(.*)$')
    if type then
      names[type], numbers[type] = names[type] or {}, numbers[type] or {}
      local index = #names[type] + 1
      names[type][index], numbers[type][index] = fields[i], tonumber(fields[i + 1]) or 0
    end
  end
  for type, its_names in pairs(names) do
    add_to_total(prefix, its_names, numbers[type])
  end
end

local function fold_type(prefix, key, type)
  local all = { 'n:' .. type }
  for _, how in ipairs({ 'succeeded', 'failed', 'retried', 'cancelled', 'crashed' }) do
    all[#all + 1] = how .. ':' .. type
  end
  for bucket = 0, LAST_BUCKET do
    all[#all + 1], all[#all + 2] = 'w' .. bucket .. ':' .. type, 'r' .. bucket .. ':' .. type
  end
  local values, names, numbers = redis.pcall('HMGET', key, unpack(all)), {}, {}
  for i, name in ipairs(all) do
    local number = tonumber(values[i] or nil)
    if number then
      names[#names + 1], numbers[#numbers + 1] = name, number
    end
  end
  add_to_total(prefix, names, numbers)
end

-- Returns whether there are further types. For a smaller hash, which Redis may search field by field, this would be slow.
local function fold_types(prefix, key, folded)
  local fields = {}
  for i = 1, TYPES_AT_ONCE + 1 do
    fields[i] = 'type_' .. folded + i
  end
  local types = redis.pcall('HMGET', key, unpack(fields))
  for i = 1, TYPES_AT_ONCE do
    if types[i] then fold_type(prefix, key, types[i]) end
  end
  return types[TYPES_AT_ONCE + 1]
end

-- Adds some types of the minute `folding` to the total. Returns whether all have been added.
local function fold_some(prefix, open, folding, folded)
  if not read_counts(prefix .. 'total', {}) then return false end -- of the wrong type
  local key = prefix .. folding
  local size = redis.pcall('HLEN', key)
  local is_small = type(size) == 'number' and size <= FIELDS_AT_ONCE
  local are_more
  if is_small then fold_all(prefix, key) else are_more = fold_types(prefix, key, folded) end
  local rest = are_more and ' ' .. folding .. ' ' .. folded + TYPES_AT_ONCE or ''
  redis.pcall('HSET', prefix .. 'open', 'minute', open .. rest)
  if not are_more then expire_minute(prefix, folding) end
  return not are_more
end

local function begin_minute(prefix, number, field)
  local open, folding, folded = minutes_of(field)
  if folding and not fold_some(prefix, open, folding, folded) then return true end
  local has_changed = folding ~= nil
  if field and (not open or tonumber(open) >= tonumber(number)) then return has_changed end
  -- A minute that was counted in the total at once is not opened, so that each minute has one hash.
  if redis.pcall('EXISTS', prefix .. number) ~= 0 then return has_changed end
  if not open then
    redis.pcall('HSET', prefix .. 'open', 'minute', number)
  elseif not redis.pcall('RENAME', prefix .. 'open', prefix .. open).err then
    redis.pcall('HSET', prefix .. 'open', 'minute', number .. ' ' .. open .. ' 0')
    -- If the hash is forgotten, because the key `open` was deleted, it is not kept for good.
    redis.pcall('EXPIREAT', prefix .. open, string.format('%.0f', math.floor(now) + UNFOLDED_SECONDS))
    fold_some(prefix, number, open, 0)
  end
  return true
end
