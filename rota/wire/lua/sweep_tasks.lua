-- Compares tasks of one queue with the places in which they should be. Reads only.
--
-- KEYS  1 pending, 2 active, 3 lease, 4 scheduled, 5 retry, 6 archived, 7 completed, 8 groups, 9 aggregation_sets,
--       10 sets whose aggregation is over (our own)
-- ARGV  1 key base, 2 task key prefix, then the ids of tasks (at most 500)
-- Result: { id, trouble, mark, ... } of those with which something may be wrong
--! include diagnose
local trouble_of = diagnosis(ARGV[1], ARGV[2], KEYS[10], false)
local found = {}
for i = 3, #ARGV do
  local trouble, row = trouble_of(ARGV[i], '')
  if trouble then
    found[#found + 1] = ARGV[i]
    found[#found + 1] = trouble
    found[#found + 1] = mark_of(ARGV[2], ARGV[i], row)
  end
end
return found
