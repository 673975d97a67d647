"""All faults mixed at random for a while, and the checker's word at the end: `python -m tests.crash.soak`.

The seed is printed; the same seed makes the same choices. `choices` draws them, `process_acts` and `server_acts` carry
them out, `fleet` keeps the workers, `cargo` and `producer` the load, `report` writes the row of `docs/reliability.md`.
"""
