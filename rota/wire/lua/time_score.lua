-- Fragment: the score of a time in a sorted set that programs in Go read.
-- time_score(at) -> text of a Unix time in milliseconds, rounded up, so that a task does not run too early
-- due_score(now) -> text of a time that is not after `now`, so that the task is due at once
-- Redis since 7.2 and Valkey write one of 800 scores with more decimals as 1.7970761098967521e+9. Asynq's inspector does
-- not understand that, and then shows nothing of the whole page.
local function time_score(at)
  return string.format('%.3f', math.ceil(at * 1000 - 0.01) / 1000)
end

local function due_score(now)
  return time_score(now - 0.001)
end
