"""Rota: a task queue and scheduler for Python that speaks Asynq's wire protocol."""
