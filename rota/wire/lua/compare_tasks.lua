-- Compares tasks of one queue with the lists and sets in which they should be. Reads only.
--
-- KEYS  ten: pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets,
--       sets whose aggregation is over (only in Rota)
-- ARGV  1 key base, 2 task key prefix, then the ids (at most 500)
-- Result: { id, trouble, mark, ... } of the tasks with which something may be wrong
--! include diagnose
local prefix = ARGV[2]
local trouble_of = diagnosis(ARGV[1], prefix, KEYS[10], false)
local found = {}
for i = 3, #ARGV do
  local trouble, row = trouble_of(ARGV[i], '')
  if trouble then
    for _, word in ipairs({ ARGV[i], trouble, mark_of(prefix, ARGV[i], row) }) do
      found[#found + 1] = word
    end
  end
end
return found
