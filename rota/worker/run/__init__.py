"""How a worker runs a task and records the outcome."""
