"""The app of the ready-made jobs. Each module has its tasks on a router; wrong settings stop the worker early."""

from examples.jobs import (
    archive,
    backup,
    certificates,
    cleanup,
    command,
    heartbeat,
    http_call,
    images,
    inspection,
    reminder,
    report,
)
from examples.jobs.settings import JobSettings
from rota import Rota

JobSettings.read()  # a worker with wrong settings does not start

app = Rota(settings={"queues": {"critical": 6, "default": 3, "low": 1}})
app.include(archive.tasks, prefix="archive:", queue="low")
app.include(backup.tasks, prefix="backup:", queue="low")
app.include(cleanup.tasks, prefix="cleanup:", queue="low")
app.include(reminder.tasks, prefix="reminder:")
app.include(command.tasks, prefix="command:", queue="low")
app.include(heartbeat.tasks, prefix="heartbeat:", queue="critical")
app.include(http_call.tasks, prefix="http:")
app.include(images.tasks, prefix="image:")
app.include(inspection.tasks, prefix="inspection:")
app.include(certificates.tasks, prefix="inspection:")
app.include(report.tasks, prefix="report:")
