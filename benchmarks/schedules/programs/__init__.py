"""A program for each scheduler: `python -m benchmarks.schedules.programs.NAME URL HOW COUNT MOMENT`.

HOW is `each` (COUNT entries that fire each second), `once` (COUNT entries that are due at MOMENT, or in its minute) or
`idle` (COUNT entries that are due in months). Rota's has `spread` too: over the second.
"""
