-- Fragment: tells which tasks are aside, on their way to another queue or out of the server (see `edit_take`).
-- The field `rota_aside` is JSON: `to` (a queue; "" for the store), `mark`, `state`, `score`, `since` (pending_since),
-- `bytes` (length of the message without the note) and `sha` (digest of the message with the note).
-- aside_of(state, field, msg) -> what the field says, or nil if the task is not aside: a Go program that runs or retries
--   it again leaves the field where it is, but changes the state or the message
local function aside_of(state, field, msg)
  if state == 'archived' and field then
    local aside = cjson.decode(field)
    return aside.sha == redis.sha1hex(msg or '') and aside or nil
  end
end
