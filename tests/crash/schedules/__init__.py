"""Three schedulers on one store, a kill, a freeze or an edit every five seconds: `python -m tests.crash.schedules`.

The seed is printed; the same seed makes the same choices. `scene` starts the schedulers and draws the acts, `crops`
makes the schedules and their edits, `collector` takes the tasks out of the queues, and `checker` judges: it computes
the planned times itself (`versions`), and uses no code of Rota.
"""
