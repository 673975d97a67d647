"""Housekeeping, done by one elected worker for all: due tasks, lost attempts, expired tasks, repairs."""
