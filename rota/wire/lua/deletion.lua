-- Fragment: checks that a deletion of a queue goes on.
-- is_current(pause, id) -> whether the deletion with this id was neither ended by `resume` nor taken over by another one.
-- `pause` is the record of the queue's pause.
local function is_current(pause, id)
  return redis.call('HGET', pause, 'producers_id') == id
end
