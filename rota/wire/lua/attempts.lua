-- Fragment: adds records to the attempts of a task, in the field `rota_attempts` of its hash.
-- with_attempt(lines, members, room) -> the records (`lines`, false for none) and a new one
-- add_attempt(key, members, room)       does the same in the hash
--   members  the members of a JSON object, without its braces    room  most bytes of all records; 0: add nothing
-- lost_attempt(token, lease, members) -> the members for a dead attempt; nil if a Go server has begun it
--   token    the task's rota_token    lease  score of its lease, false for none    members  what the caller knows
-- A record is one line: a JSON object that begins with the number of the attempt. The first record and the last one
-- always stay. If all together need more than `room`, the oldest of the others are removed, so numbers may be missing.
--! include clock
--! include whose

-- The lines are searched one by one, because a pattern that ends in `$` is tried at every byte, which takes 0.8 ms.
local function last_number(lines)
  local start, ending = 1, string.find(lines, '\n', 1, true)
  while ending and ending < #lines do
    start = ending + 1
    ending = string.find(lines, '\n', start, true)
  end
  return tonumber(string.match(lines, '^{"n":(%d+)', start) or 0)
end

local function with_attempt(lines, members, room)
  if not lines then return '{"n":1,' .. members .. '}\n' end -- of most tasks, the only one
  local number = last_number(lines)
  local new = '{"n":' .. string.format('%.0f', number + 1) .. ',' .. members .. '}\n'
  if #lines + #new > room then
    local first = string.find(lines, '\n', 1, true) or #lines
    local least = math.max(first + 1, first + #lines + #new - room + 1) -- what fits begins here at the earliest
    local cut = string.find(lines, '\n', least - 1, true) or #lines
    return string.sub(lines, 1, first) .. string.sub(lines, cut + 1) .. new
  end
  return lines .. new
end

local function add_attempt(key, members, room)
  if not members or room == 0 then return end
  redis.call('HSET', key, 'rota_attempts', with_attempt(redis.call('HGET', key, 'rota_attempts'), members, room))
end

-- A Go server keeps the token of an earlier attempt of Rota, so its lease shows that the attempt is not Rota's.
local NS_DIGITS, MS_DIGITS = 19, 13 -- the number of a token begins with the time of the fetch, see `tokens` in Python
local function lost_attempt(token, lease, members)
  if not token or (lease and not is_ours(lease)) then return end
  local worker, number = string.match(token, '^(.*)%-(%d+)$')
  local started = ''
  if number and #number > NS_DIGITS then
    started = string.format('"started":%.0f,', tonumber(string.sub(number, 1, MS_DIGITS)))
  end
  return '"worker":' .. cjson.encode(worker or token) .. ',' .. started
    .. string.format('"ended":%.0f,"outcome":"crashed",', math.floor(now * 1000)) .. members
end
