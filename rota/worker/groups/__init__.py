"""Groups: how several tasks are aggregated into one task."""
