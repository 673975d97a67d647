-- Fragment: tell whoever waits for the end of this task.
-- A user without the right to publish must still be able to record.
local function announce(channel, state, text)
  redis.pcall('PUBLISH', channel, state .. '\n' .. text)
end
