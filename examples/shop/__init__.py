"""A shop's background work: photographs, sales reports, backups, cleaning, mail. `make demo` runs it."""
