"""How many tasks one call of a script takes at most. While a script runs, the server does nothing else."""

MOST_ENQUEUED = 1000
MOST_FETCHED = 500
MOST_RECORDED = 500
MOST_FORWARDED = 1000
MOST_DELETED = 1000
