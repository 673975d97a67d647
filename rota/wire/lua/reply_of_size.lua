-- Replies with a text of the given size, to find out whether a reply of this size reaches the worker. Reads nothing.
--
-- KEYS  1 any key of the queue: it routes the call
-- ARGV  1 size in bytes
return string.rep('x', tonumber(ARGV[1]))
