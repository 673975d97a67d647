"""The scheduler: one of several processes leads, and enqueues the tasks of all schedules at their planned times."""
