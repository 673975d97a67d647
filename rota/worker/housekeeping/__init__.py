"""What one worker does for all: due tasks, dead attempts, retention, repairs."""
