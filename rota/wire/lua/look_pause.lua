-- Reads for whom a queue is paused, by whom and why.
--
-- KEYS  1 paused, 2 record of the pause (only in Rota)
-- Result: see `pause_row`
--! include pause_row
return pause_row(KEYS[1], KEYS[2])
