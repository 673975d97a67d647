"""Most tasks for one call of a script. They are limited because the server does nothing else while a script runs."""

MOST_ENQUEUED = 1000
MOST_FETCHED = 500
MOST_RECORDED = 500
MOST_FORWARDED = 1000
MOST_DELETED = 1000
