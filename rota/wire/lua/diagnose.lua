-- Fragment: finds out what is wrong with a task, by comparing its hash with the lists and sets of its queue.
--
-- diagnosis(base, prefix, spent, exact) -> trouble_of(id, place) -> trouble, row
--   spent    key of the sets whose aggregation is over (only in Rota)
--   exact    ask the server for this id, and search all of `pending`, even if it is long
--   place    where the id was found ("" = its hash was found)
--   trouble  nil if the task is all right, or
--     ghost      the id is in that place, but its hash is gone         stub      a hash without a message
--     stray      a lease of a task that is not running                 unleased  running, but without a lease
--     misplaced  the state names another place                         unlisted  the id is not where the state says
--     ungrouped  its group is missing in `groups`, so no aggregator looks at it
--   row      the task's state, rota_token, pending_since, group
-- and is_in(place, id, row) -> true, "perhaps" (it may be in one of too many sets to search), or false or nil
-- A task that is being moved is never seen in between, because every move, in Asynq too, is one script.
-- A key of another type in the place of a hash is never changed; its id is a ghost, as `fetch` sees it too.
--! include hash
local SHORT = 1000
local SETS = 1000
local SORTED = { scheduled = true, retry = true, archived = true, completed = true }

local function diagnosis(base, prefix, spent, exact)
  local known = {}

  local function once(name, ask)
    if known[name] == nil then
      known[name] = ask()
    end
    return known[name]
  end

  local function among(list, id)
    local members = once(list, function()
      local found = {}
      for _, member in ipairs(redis.call('LRANGE', base .. list, 0, -1)) do
        found[member] = true
      end
      return found
    end)
    return members[id] == true
  end

  local function length(list)
    return once(list .. ' length', function()
      return redis.call('LLEN', base .. list)
    end)
  end

  -- A long `pending` is not searched. Instead the task's time is compared: tasks are taken in order, so a pending task
  -- that is older than the next one to be taken cannot be in the list.
  local function waits(id, row)
    if exact then
      return redis.call('LPOS', base .. 'pending', id) and true
    elseif length('pending') <= SHORT then
      return among('pending', id)
    end
    local oldest = once('oldest', function()
      local next_id = redis.call('LINDEX', base .. 'pending', -1)
      return next_id and tonumber(hash(prefix .. next_id, 'pending_since')[1] or '') or false
    end)
    return not oldest or not row[3] or tonumber(row[3]) >= oldest
  end

  local function runs(id)
    if exact or length('active') > 10 * SHORT then
      return redis.call('LPOS', base .. 'active', id) and true
    end
    return among('active', id)
  end

  local function sets()
    return once('sets', function()
      if redis.call('ZCARD', base .. 'aggregation_sets') + redis.call('SCARD', spent) > SETS then
        return { many = true }
      end
      local found = redis.call('SMEMBERS', spent)
      for _, set in ipairs(redis.call('ZRANGE', base .. 'aggregation_sets', 0, -1)) do
        found[#found + 1] = set
      end
      return found
    end)
  end

  -- Whether the task is in its group, or in a set that was taken from the group.
  local function gathers(id, group)
    if not group or redis.call('ZSCORE', base .. 'g:' .. group, id) then
      return group and true
    end
    local all, start = sets(), base .. 'g:' .. group .. ':'
    for _, set in ipairs(all) do
      if string.sub(set, 1, #start) == start and redis.call('ZSCORE', set, id) then
        return true
      end
    end
    return all.many and 'perhaps'
  end

  local function is_in(place, id, row)
    if place == 'pending' then
      return waits(id, row)
    elseif place == 'active' then
      return runs(id)
    elseif place == 'aggregating' then
      return gathers(id, row[4])
    end
    return SORTED[place] and redis.call('ZSCORE', base .. place, id) and true
  end

  local function trouble_of(id, place)
    local row = hash(prefix .. id, 'state', 'rota_token', 'pending_since', 'group')
    local state, is_hash = row[1] or '', #row > 0
    local empty = not is_hash or redis.call('HEXISTS', prefix .. id, 'msg') == 0
    if place == 'lease' then
      -- If the id is also in `active`, the check of `active` tells more: the task may be running whatever its state is.
      return (empty or state ~= 'active') and not runs(id) and 'stray' or nil, row
    elseif empty then
      return is_hash and redis.call('EXISTS', prefix .. id) == 1 and 'stub' or place ~= '' and 'ghost' or nil, row
    elseif place ~= '' and place ~= state then
      return 'misplaced', row
    elseif place == '' and not is_in(state, id, row) then
      -- A task with a lease is left to the recovery, because its worker may be alive.
      local leased = state == 'active' and redis.call('ZSCORE', base .. 'lease', id)
      return not leased and 'unlisted' or nil, row
    elseif state == 'active' and not redis.call('ZSCORE', base .. 'lease', id) then
      return 'unleased', row
    elseif state == 'aggregating' and redis.call('ZSCORE', base .. 'g:' .. row[4], id)
      and redis.call('SISMEMBER', base .. 'groups', row[4]) == 0 then
      return 'ungrouped', row
    end
    return nil, row
  end

  return trouble_of, is_in
end

-- The digest of a finding. It changes when the task is moved or its message is replaced, so that a repair can tell.
local function mark_of(prefix, id, row)
  local msg = hash(prefix .. id, 'msg')[1] or ''
  return redis.sha1hex(table.concat({ row[1] or '', row[2] or '', row[3] or '', msg }, '|'))
end
