"""The numbers: Rota, Go's Asynq and Python's other task queues on one Redis in one run."""
