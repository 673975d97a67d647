"""Schedules and the times at which they fire, as values. This package does no I/O and reads no clock."""
