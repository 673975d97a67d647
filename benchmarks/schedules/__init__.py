"""How late schedules fire, how many can be due at once, what an idle scheduler costs, how soon another one leads.

`python -m benchmarks.schedules [--seconds 60] [--only rota,celery] [--keep]`

1. `own.py` measures Rota by what its tasks say: the time at which each was enqueued, by the server's clock.
2. `peers.py` measures Rota, Asynq, Celery beat, APScheduler and Taskiq alike: it looks each millisecond how many tasks
   are in the queue. `programs/` has a program for each of them, which runs in a process of its own.
3. `page.py` writes all of it as one page, with `--keep` to `results/schedules.md`.

Each measurement has a server of its own. Nothing consumes the tasks.
"""
