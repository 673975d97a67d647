-- Reads the record of one server, the records of its running tasks, and what the server tells about itself.
--
-- KEYS  1 server record, 2 hash of its running tasks, 3 what the server tells about itself (only in Rota)
-- ARGV  1 most bytes of what the server tells about itself
-- Result: { server record, { record of a running task, ... }, what it tells about itself (nil if that is longer) }
local about = redis.pcall('GET', KEYS[3]) -- a table, the error, if another program has put something else there
if type(about) ~= 'string' or #about > tonumber(ARGV[1]) then
  about = false
end
return { redis.call('GET', KEYS[1]), redis.call('HVALS', KEYS[2]), about }
