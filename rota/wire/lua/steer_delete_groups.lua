-- Names some groups and aggregation sets of a queue that is being deleted. Reads only.
--
-- KEYS  1 groups, 2 aggregation_sets, 3 sets that are over but not deleted yet (only in Rota)
-- ARGV  1 most names of each
-- Result: { { groups }, { keys of aggregation sets }, { keys of sets that are over } }
local function names(...)
  local found = redis.pcall(...)
  return found.err and {} or found -- a key of another type has no names, and is deleted as a whole
end
return {
  names('SRANDMEMBER', KEYS[1], ARGV[1]),
  names('ZRANGE', KEYS[2], 0, ARGV[1] - 1),
  names('SRANDMEMBER', KEYS[3], ARGV[1]),
}
