#!lua flags=no-writes
-- Which of these commands may this user not run on this key? Nothing is written, since a script with this flag may
-- not write; but the server asks for the right before it asks for the flag. What is allowed to read, reads a key that
-- does not exist.
--
-- KEYS  1 a key of the kind in question, that does not exist
-- ARGV  the commands, a subcommand as MEMORY|USAGE
-- Result: those that are refused for want of a right
local function refused(text)
  return text:find("can't run", 1, true) or text:find("can't access", 1, true) or text:find('NOPERM', 1, true)
    or text:find('ACL failure', 1, true) or text:find('o permissions', 1, true)
end

local missing = {}
for _, name in ipairs(ARGV) do
  -- The number of words is checked first, so it has to be right: more, until it is.
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
