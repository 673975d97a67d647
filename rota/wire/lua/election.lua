-- Fragment: elects one of several workers.
-- is_elected(key, owner, life_ms) -> whether `owner` is elected; if so, it stays elected for `life_ms` from now
-- If the server is out of memory, the key cannot be written. Then every worker that asks is elected, because a sweep
-- frees memory and two sweeps at the same time do no harm.
local function is_elected(key, owner, life_ms)
  local holder = redis.call('GET', key)
  if holder then
    return holder == owner and redis.call('PEXPIRE', key, life_ms) == 1
  end
  local reply = redis.pcall('SET', key, owner, 'PX', life_ms)
  -- Not compared with the start of the text, because Redis 6.2 puts the line number of the script before the code.
  if reply.err and not string.find(reply.err, 'OOM', 1, true) then
    redis.call('SET', key, owner, 'PX', life_ms) -- raises the same error in the server's own format
  end
  return true
end
