-- Frees a uniqueness lock, if the task that holds it does not exist, has ended, or has left the lock's scope.
-- KEYS  1 the lock
-- ARGV  1 prefix of the task hashes, 2 id that the lock contained when it was read, 3 1 to free it in any case
-- Result: false if the lock is free, else { reply, state, id }: done, held (by the task `id`), changed (it contains
--         another id by now)
--! include kept_lock
local id = redis.call('GET', KEYS[1])
if not id then
  return false
end
if id ~= ARGV[2] then
  return { 'changed', '', id }
end
local other, state = keeper(KEYS[1], ARGV[1])
if other and ARGV[3] ~= '1' then
  return { 'held', state, id }
end
redis.call('DEL', KEYS[1])
return { 'done', state or '', id }
