"""Enqueue from blocking code, and by the name of a type."""

from tasks import app, welcome

with app:
    job = welcome.enqueue_sync(7)
    print(job.result(timeout="10s"))
    by_name = app.enqueue_sync("email:welcome", {"user_id": 8})
    print(by_name.result(timeout="10s"))
