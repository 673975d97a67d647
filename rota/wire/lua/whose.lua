-- Fragment: whose lease is it? Go gives leases until a whole second; ours end in the middle of one, which Go reads as
-- well as any other score. So every task in `active` tells who took it last. Its token cannot tell: a Go server that
-- takes a task leaves the token of an earlier attempt of ours in the hash.
local function lease_end(now, seconds)
  return math.floor(now) + seconds + 0.5
end

local function is_ours(score)
  return score and tonumber(score) % 1 ~= 0
end
