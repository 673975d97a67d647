-- Fragment: tells leases of Rota from leases of Go. A lease of Go ends at a whole second; a lease of Rota ends at half
-- a second, which Asynq accepts like any other score. So the score shows which of them took the task last. The token
-- does not show it, because a Go server that takes a task keeps the token of an earlier attempt of Rota in the hash.
local function lease_end(now, seconds)
  return math.floor(now) + seconds + 0.5
end

local function is_ours(score)
  return score and tonumber(score) % 1 ~= 0
end
