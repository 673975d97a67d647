-- Fragment: announces the end of a task to callers that wait for its result.
-- Uses pcall because a user without permission to publish must still be able to record outcomes.
local function announce(channel, state, text)
  redis.pcall('PUBLISH', channel, state .. '\n' .. text)
end
