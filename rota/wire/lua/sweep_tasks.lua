-- Compares tasks of some queues with the lists and sets in which they should be. Reads only.
--
-- KEYS  for each queue ten: pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets,
--       sets whose aggregation is over (only in Rota)
-- ARGV  for each queue three: key base, task key prefix, number of its tasks; then their ids (at most 500 in all)
-- Result: { index of queue (from 0), id, trouble, mark, ... } of the tasks with which something may be wrong
--! include diagnose
local found, at = {}, 1
for queue = 0, #KEYS / 10 - 1 do
  local base, prefix, last = ARGV[at], ARGV[at + 1], at + 2 + ARGV[at + 2]
  local trouble_of = diagnosis(base, prefix, KEYS[10 * queue + 10], false)
  for i = at + 3, last do
    local trouble, row = trouble_of(ARGV[i], '')
    if trouble then
      for _, word in ipairs({ queue, ARGV[i], trouble, mark_of(prefix, ARGV[i], row) }) do
        found[#found + 1] = word
      end
    end
  end
  at = last + 1
end
return found
