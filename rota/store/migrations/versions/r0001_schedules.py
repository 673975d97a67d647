"""Create the tables of schedules, calendars and the audit.

On MariaDB and MySQL a revision that was interrupted leaves the tables that it made so far, so it skips existing ones.
"""

import sqlalchemy as sa
from alembic import op

from rota.store.column_types import TABLE_OPTIONS, Instant, document, line, long_text
from rota.store.migrations.repeatable import add_index

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _create_schedules()
    _create_history()
    _create_installation()


def _create(name: str, *parts: sa.Column[object] | sa.UniqueConstraint) -> None:
    op.create_table(f"rota_{name}", *parts, if_not_exists=True, **TABLE_OPTIONS)


def _index(table: str, name: str, *columns: str) -> None:
    add_index(f"rota_{table}", f"rota_{table}_{name}", columns)


def _create_schedules() -> None:
    _create(
        "schedules",
        sa.Column("id", line(64), primary_key=True),
        sa.Column("name", line(200), nullable=False),
        sa.Column("live_name", line(200)),
        sa.Column("kind", line(32), nullable=False),
        sa.Column("task_type", line(200), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("source", line(32), nullable=False),
        sa.Column("search", long_text(), nullable=False),
        sa.Column("definition", document(), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", line(200), nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("updated_by", line(200), nullable=False),
        sa.Column("deleted_at", Instant),
        sa.Column("deleted_by", line(200)),
        sa.UniqueConstraint("live_name", name="rota_schedules_live_name"),
    )
    _index("schedules", "name", "name", "id")
    _index("schedules", "revision", "revision")
    _create(
        "schedule_tags",
        sa.Column("schedule_id", line(64), primary_key=True),
        sa.Column("tag", line(200), primary_key=True),
    )
    _index("schedule_tags", "tag", "tag", "schedule_id")
    _create(
        "schedule_state",
        sa.Column("schedule_id", line(64), primary_key=True),
        sa.Column("last_planned_at", Instant),
        sa.Column("next_due_at", Instant),
    )
    _index("schedule_state", "next", "next_due_at")


def _create_history() -> None:
    _create(
        "schedule_versions",
        sa.Column("schedule_id", line(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("act", line(32), nullable=False),
        sa.Column("changed", document(), nullable=False),
        sa.Column("definition", document(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("by", line(200), nullable=False),
    )
    _create(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("by", line(200), nullable=False),
        sa.Column("origin", line(200), nullable=False),
        sa.Column("act", line(64), nullable=False),
        sa.Column("kind", line(64), nullable=False),
        sa.Column("subject", line(200), nullable=False),
        sa.Column("detail", long_text(), nullable=False),
        sa.Column("hash", line(64), nullable=False),
    )
    _index("audit", "subject", "kind", "subject", "number")
    _index("audit", "by", "by", "number")


def _create_installation() -> None:
    _create(
        "calendars",
        sa.Column("name", line(200), primary_key=True),
        sa.Column("definition", document(), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("updated_by", line(200), nullable=False),
        sa.Column("deleted_at", Instant),
    )
    _index("calendars", "revision", "revision")
    _create(
        "flags",
        sa.Column("name", line(64), primary_key=True),
        sa.Column("value", document()),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("updated_by", line(200), nullable=False),
    )
    _create(
        "counters",
        sa.Column("name", line(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("hash", line(64)),
    )
