"""The ready-made jobs with their schedules: `rota worker examples.jobs.schedules:app`.

What the settings name gets its schedule: each database is backed up, rotated logs are archived, old rows are deleted,
the URLs in JOBS_CHECKS are checked, and the machine and its certificates are inspected where JOBS_ALERT says who is
told. `H` in a spec stands for a value that is made from the schedule, so that not all of them fire in the same minute.
"""

from examples.jobs.app import app
from examples.jobs.settings import JobSettings
from rota import Rota

BACKUPS, LOGS, ARCHIVE = "backups", "logs", "archive"
"""Names of folders in JOBS_FOLDERS that have a meaning here."""
KEPT_ROWS = "90d"


def schedule_jobs(app: Rota, settings: JobSettings) -> None:
    """Declare the schedules that the settings ask for."""
    if BACKUPS in settings.folders:
        for database in settings.databases:
            backup = {"database": database, "folder": BACKUPS, "keep": 14}
            app.schedule("backup:database", backup, cron="H H(1-4) * * *", name=f"backup of {database}")
    if {LOGS, ARCHIVE} <= settings.folders.keys():
        logs = {"folder": LOGS, "target": ARCHIVE}
        app.schedule("archive:logs", logs, cron="30 0 * * *", name="archive of logs")
    for table in settings.purge:
        rows = {"table": table, "older_than": KEPT_ROWS}
        app.schedule("cleanup:rows", rows, cron="H 5 * * *", name=f"clean-up of {table}")
    for name, url in settings.checks.items():
        check = {"url": url, "name": name, "alert": list(settings.alert)}
        # A check that was missed tells nothing any more, and one that is late must not hold up the next.
        app.schedule("heartbeat:check", check, every="1m", name=f"check of {name}", missed="skip", retention="1h")
    if settings.alert:
        _schedule_inspections(app, settings)


def _schedule_inspections(app: Rota, settings: JobSettings) -> None:
    told = list(settings.alert)
    app.schedule("inspection:machine", {"alert": told}, cron="H * * * *", name="inspection of the machine")
    hosts = [host for host in settings.http_hosts if not host.startswith("*")]
    if hosts:
        certificates = {"hosts": hosts, "alert": told}
        app.schedule("inspection:certificates", certificates, cron="H 7 * * *", name="inspection of certificates")


schedule_jobs(app, JobSettings.read())
