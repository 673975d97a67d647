-- Put before each script on a connection with `test_clock=1` in its URL (see rota/wire/script.py): the name `redis`
-- then means this table, whose TIME is that of the test's clock.
--   offset  microseconds that the clock is ahead of the server's        frozen  the time at which it stands still
-- EXPIREAT gets the instant by the server's clock, because the server deletes keys by its own.
local redis = (function()
  local server = redis
  local function real()
    local reply = server.call('TIME')
    return tonumber(reply[1]) * 1000000 + tonumber(reply[2])
  end
  local function shown()
    local kept = server.call('HMGET', 'rota:test_clock', 'offset', 'frozen')
    return tonumber(kept[2] or nil) or real() + tonumber(kept[1] or 0)
  end
  local function acting(act)
    return function(name, ...)
      local upper = string.upper(name)
      if upper == 'TIME' then
        local now = shown()
        return { string.format('%.0f', math.floor(now / 1000000)), string.format('%.0f', now % 1000000) }
      elseif upper == 'EXPIREAT' then
        local key, at = ...
        return act(name, key, string.format('%.0f', tonumber(at) + math.floor((real() - shown()) / 1000000)))
      end
      return act(name, ...)
    end
  end
  return setmetatable({ call = acting(server.call), pcall = acting(server.pcall) }, { __index = server })
end)()
