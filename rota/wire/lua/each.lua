-- Fragment: does one act to each of several tasks of a queue, as much as one call may do.
-- each(first, width, act) -> replies
--   first, width  the words of a task begin at ARGV[first], the id first; each task has this number of words
--   act(id, key, i) -> reply; `i` is the index of the id in ARGV
-- is_too_much(id, state, bytes) -> whether the act would have to search and copy too much in this call. An act asks it
--   before its first write, and then replies `later`, as all tasks after it do. The first task is never too much.
-- ARGV[1] is the prefix of the queue's keys and ARGV[2] the prefix of its task hashes.
-- An error at one task, such as a key of the wrong type, is the reply of this task, because an error in place of all
-- replies would hide what was done to the others. The only task of a call raises it.
--! include near_tail

local MOST_SEARCHED, MOST_BYTES = 100000, 1048576
local searched, bytes_seen, is_first, is_over = 0, 0, true, false

local function is_too_much(id, state, bytes)
  local begun = not is_first
  if state == 'pending' and begun then
    local list = ARGV[1] .. 'pending'
    searched = searched + (is_near_tail(list, id) and 1 or redis.call('LLEN', list))
  end
  is_first, bytes_seen = false, bytes_seen + bytes
  is_over = begun and (searched > MOST_SEARCHED or bytes_seen > MOST_BYTES)
  return is_over
end

local function each(first, width, act)
  local replies = {}
  for i = first, #ARGV, width do
    local id, done, reply = ARGV[i], true, nil
    if is_over then
      reply = { 'later', '', id }
    else
      done, reply = pcall(act, id, ARGV[2] .. id, i)
    end
    if not done then
      local text = type(reply) == 'table' and reply.err or tostring(reply)
      local is_alone = #ARGV < first + width
      if i == first and (is_alone or not string.find(text, 'WRONGTYPE', 1, true)) then
        return redis.error_reply(text)
      end
      reply = { 'error', text, id }
    end
    replies[#replies + 1] = reply
  end
  return replies
end
