-- Writes the record of the task types that some servers handle.
--
-- KEYS  1 the record, whose name ends with its digest
-- ARGV  1 seconds to live, 2 the record
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1])
