-- Fragment: compares the number of a batch of runs with a mark, which is the text '<epoch> <batch>'.
-- is_newer(mark, epoch, batch) -> whether the batch was made after the one that left the mark (false = none did)
-- mark_of(epoch, batch) -> the mark
local function is_newer(mark, epoch, batch)
  local marked_epoch, marked_batch = string.match(mark or '0 0', '^(%d+) (%d+)$')
  marked_epoch, marked_batch = tonumber(marked_epoch), tonumber(marked_batch)
  return epoch > marked_epoch or (epoch == marked_epoch and batch > marked_batch)
end

local function mark_of(epoch, batch)
  return string.format('%d %d', epoch, batch)
end
