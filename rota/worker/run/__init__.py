"""How a worker runs a task and records its outcome."""
