-- Fragment: the election of one of several workers.
-- is_elected(key, owner, life_ms) -> whether `owner` is elected; then it stays elected for `life_ms` from now
-- Where memory is short the key cannot be written. Then every worker that asks is elected: sweeps free memory, and two
-- sweeps at once do no harm.
local function is_elected(key, owner, life_ms)
  local holder = redis.call('GET', key)
  if holder then
    return holder == owner and redis.call('PEXPIRE', key, life_ms) == 1
  end
  local reply = redis.pcall('SET', key, owner, 'PX', life_ms)
  -- Redis 6.2 puts the line of the script before the code.
  if reply.err and not string.find(reply.err, 'OOM', 1, true) then
    redis.call('SET', key, owner, 'PX', life_ms) -- for its error, in the server's own words
  end
  return true
end
