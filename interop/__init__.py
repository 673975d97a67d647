"""Go programs on the real Asynq, and what Python needs to build, run and understand them."""
