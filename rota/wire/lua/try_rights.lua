#!lua flags=no-writes
-- Finds out which of these commands the user may not run on this key. Nothing is written, because the flag `no-writes`
-- forbids it; but the server checks the permission before the flag, so a missing permission shows. Commands that only
-- read are run, on a key that does not exist.
--
-- KEYS  1 a key that does not exist and matches the pattern to check
-- ARGV  the commands; a subcommand is written as MEMORY|USAGE
-- Result: the commands that are refused because a permission is missing
local function refused(text)
  return text:find("can't run", 1, true) or text:find("can't access", 1, true) or text:find('NOPERM', 1, true)
    or text:find('ACL failure', 1, true) or text:find('o permissions', 1, true)
end

local missing = {}
for _, name in ipairs(ARGV) do
  -- The server checks the number of arguments before the permission. So arguments are added until the number is right.
  local words = {}
  for word in name:gmatch('[^|]+') do
    words[#words + 1] = word
  end
  for _ = 1, 8 do
    local reply = redis.pcall(unpack(words))
    local text = type(reply) == 'table' and reply.err or ''
    if refused(text) then
      missing[#missing + 1] = name
    end
    if not text:find('umber of arg', 1, true) then
      break
    end
    words[#words + 1] = KEYS[1]
  end
end
return missing
