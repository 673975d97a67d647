"""Call and enqueue from blocking code, by the name of a type too, and find a task again by its ID."""

from tasks import app, build_report, welcome

with app:
    print(welcome.call_sync(7, timeout="30s"))
    by_name = app.enqueue_sync("report:build", {"account": 8})
    print(by_name.result(timeout="30s"))
    same = build_report.job_sync(by_name.id)  # by an ID that your program has stored
    print(same.info().state)
