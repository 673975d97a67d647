-- Adds outcomes that were recorded in a batch of which some were refused: that batch has counted none.
--
-- KEYS  1 total counts (only in Rota)
-- ARGV  1 prefix of the keys of minutes, 2 number of words of the counts, then these words (see `minute`)
--! include open_minute
count_minute(ARGV[1], begin_minute, counts_of_words(2))
return 1
