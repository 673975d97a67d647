"""The tables of the store. All names begin with `rota_`, so that the store can share a database with an application.

The migrations create these tables; a test compares both. Rows of runs and states may belong to schedules that are
declared in code and have no row of their own, so these tables have no foreign keys.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, UniqueConstraint

from rota.store.column_types import TABLE_OPTIONS, Instant, binary, document, line, long_text

metadata = MetaData()

ID = 64
"""Characters of the ID of a schedule: a UUID, or the name-like ID of a schedule that is declared in code."""
RUN_ID = 160
LOOK_AT_ONCE = "1970-01-01 00:00:00.000000"
NAME = 200
"""The longest name of a schedule, a task type, a queue, a tag, a calendar or a user."""


def _table(name: str, *parts: Column[object] | Index | UniqueConstraint) -> Table:
    return Table(f"rota_{name}", metadata, *parts, **TABLE_OPTIONS)


counters = _table(
    "counters",
    Column("name", line(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("hash", line(64)),
)
"""`revision` counts the edits and `audit` the rows of the audit. An edit locks both rows until it is committed, so
edits happen one after the other, and a reader that has seen revision 7 has seen everything up to 7."""

flags = _table(
    "flags",
    Column("name", line(64), primary_key=True),
    Column("value", document()),
    Column("revision", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", line(NAME), nullable=False),
)
"""Facts about the whole installation, such as the hold."""

schedules = _table(
    "schedules",
    Column("id", line(ID), primary_key=True),
    Column("name", line(NAME), nullable=False),
    # A name is unique among the schedules that are not deleted. Deleted ones have NULL here, which is not compared.
    Column("live_name", line(NAME)),
    Column("kind", line(32), nullable=False),
    Column("task_type", line(NAME), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("source", line(32), nullable=False),
    # The texts in which a search looks, in small letters of every script.
    Column("search", long_text(), nullable=False),
    Column("definition", document(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", line(NAME), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", line(NAME), nullable=False),
    Column("deleted_at", Instant),
    Column("deleted_by", line(NAME)),
    # The moment from which its present times hold. NULL, in rows of an older Rota, means `updated_at`.
    Column("since", Instant),
    # No scheduler needs it before this moment (`due_window.py`). Rows of an older Rota are looked at once.
    Column("due_at", Instant, nullable=False, server_default=LOOK_AT_ONCE),
    Column("calendar", line(NAME)),
    UniqueConstraint("live_name", name="rota_schedules_live_name"),
    Index("rota_schedules_name", "name", "id"),
    Index("rota_schedules_revision", "revision"),
    Index("rota_schedules_due", "due_at", "id"),
    Index("rota_schedules_calendar", "calendar"),
)

schedule_tags = _table(
    "schedule_tags",
    Column("schedule_id", line(ID), primary_key=True),
    Column("tag", line(NAME), primary_key=True),
    Index("rota_schedule_tags_tag", "tag", "schedule_id"),
)

schedule_versions = _table(
    "schedule_versions",
    Column("schedule_id", line(ID), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("act", line(32), nullable=False),
    Column("changed", document(), nullable=False),
    Column("definition", document(), nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", line(NAME), nullable=False),
)

schedule_state = _table(
    "schedule_state",
    Column("schedule_id", line(ID), primary_key=True),
    Column("last_planned_at", Instant),
    Column("next_due_at", Instant),
    Column("last_run_id", line(RUN_ID)),
    Column("last_outcome", line(32)),
    Column("fired", BigInteger, nullable=False, server_default="0"),
    Column("failed", BigInteger, nullable=False, server_default="0"),
    Column("skipped", BigInteger, nullable=False, server_default="0"),
    Column("missed", BigInteger, nullable=False, server_default="0"),
    Column("failures_in_row", Integer, nullable=False, server_default="0"),
    Index("rota_schedule_state_next", "next_due_at"),
)
"""The last planned time of each schedule, so that an emptied Redis does not fire it again, and the next one.

`last_run_id` is the run with the latest planned time. The counts go on when old runs are deleted."""

runs = _table(
    "runs",
    Column("id", line(RUN_ID), primary_key=True),
    Column("schedule_id", line(ID), nullable=False),
    Column("schedule_version", Integer, nullable=False),
    Column("planned_at", Instant, nullable=False),
    Column("cause", line(32), nullable=False),
    Column("by", line(NAME), nullable=False),
    Column("queue", line(NAME), nullable=False),
    Column("task_type", line(NAME), nullable=False),
    Column("task_ids", document(), nullable=False),
    Column("enqueued_at", Instant),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("outcome", line(32)),
    Column("is_open", Boolean, nullable=False),
    Column("skip_reason", line(32)),
    Column("skip_count", Integer, nullable=False),
    Column("skip_until", Instant),
    Column("result", binary()),
    Column("error", long_text(), nullable=False),
    Column("note", long_text(), nullable=False),
    # Each list of runs is read from one of these in its order, without sorting.
    # The report by day needs only this index, which therefore has two more columns.
    Index("rota_runs_planned", "planned_at", "id", "outcome", "skip_count"),
    Index("rota_runs_schedule", "schedule_id", "planned_at", "id"),
    Index("rota_runs_outcome", "outcome", "planned_at", "id"),
    Index("rota_runs_open", "is_open", "planned_at", "id"),
)

attempts = _table(
    "attempts",
    Column("run_id", line(RUN_ID), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("worker", line(NAME), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("error", long_text(), nullable=False),
    Column("traceback", long_text(), nullable=False),
)

run_logs = _table(
    "run_logs",
    Column("run_id", line(RUN_ID), primary_key=True),
    Column("lines", long_text(), nullable=False),
)
"""The log lines of the runs that have some. A table of its own, so that lists of runs do not read them."""

metric_samples = _table(
    "metric_samples",
    Column("step", line(8), primary_key=True),
    Column("queue", line(NAME), primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("data", document(), nullable=False),
    Index("rota_metric_samples_at", "step", "at"),
)
"""Samples of each queue by minute, hour and day: counts and histograms by type, and sizes."""

calendars = _table(
    "calendars",
    Column("name", line(NAME), primary_key=True),
    Column("definition", document(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", line(NAME), nullable=False),
    Column("deleted_at", Instant),
    Index("rota_calendars_revision", "revision"),
)

audit = _table(
    "audit",
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("by", line(NAME), nullable=False),
    Column("origin", line(NAME), nullable=False),
    Column("act", line(64), nullable=False),
    Column("kind", line(64), nullable=False),
    Column("subject", line(NAME), nullable=False),
    # JSON kept as text: the hash covers each character, and databases write JSON in different ways.
    Column("detail", long_text(), nullable=False),
    Column("hash", line(64), nullable=False),
    Index("rota_audit_subject", "kind", "subject", "number"),
    Index("rota_audit_by", "by", "number"),
)

trash = _table(
    "trash",
    Column("id", line(64), primary_key=True),
    Column("deletion", line(64), nullable=False),
    # Name and ID are cut to be searched; `data` has them whole.
    Column("queue", line(NAME), nullable=False),
    Column("task_id", line(NAME), nullable=False),
    Column("type", line(NAME), nullable=False),
    Column("state", line(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("deleted_at", Instant, nullable=False),
    Column("deleted_by", line(NAME), nullable=False),
    Column("data", binary(), nullable=False),
    Index("rota_trash_deleted", "deleted_at", "id", "size"),
    Index("rota_trash_task", "queue", "task_id", "deleted_at"),
    Index("rota_trash_deletion", "deletion", "deleted_at", "id"),
)
"""Deleted tasks, which can be put back for some time."""
