"""Create the tables of runs, and add to each schedule's state what its runs have come to."""

import sqlalchemy as sa
from alembic import op

from rota.store.column_types import TABLE_OPTIONS, Instant, binary, document, line, long_text
from rota.store.migrations.repeatable import add_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATE = "rota_schedule_state"


def upgrade() -> None:
    """Create the tables, then the columns."""
    _create_runs()
    known = _columns_of_state()
    op.create_table(
        "rota_attempts",
        sa.Column("run_id", line(160), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("worker", line(200), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("ended_at", Instant),
        sa.Column("error", long_text(), nullable=False),
        sa.Column("traceback", long_text(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    for column in (
        sa.Column("last_run_id", line(160)),
        sa.Column("last_outcome", line(32)),
        sa.Column("fired", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failed", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("skipped", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("missed", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failures_in_row", sa.Integer, nullable=False, server_default="0"),
    ):
        if column.name not in known:
            op.add_column(_STATE, column)


def _columns_of_state() -> set[str]:
    """Return the columns that an interrupted upgrade of MariaDB or MySQL has added. Written SQL adds all."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(_STATE)}


def _create_runs() -> None:
    op.create_table(
        "rota_runs",
        sa.Column("id", line(160), primary_key=True),
        sa.Column("schedule_id", line(64), nullable=False),
        sa.Column("schedule_version", sa.Integer, nullable=False),
        sa.Column("planned_at", Instant, nullable=False),
        sa.Column("cause", line(32), nullable=False),
        sa.Column("by", line(200), nullable=False),
        sa.Column("queue", line(200), nullable=False),
        sa.Column("task_type", line(200), nullable=False),
        sa.Column("task_ids", document(), nullable=False),
        sa.Column("enqueued_at", Instant),
        sa.Column("started_at", Instant),
        sa.Column("ended_at", Instant),
        sa.Column("outcome", line(32)),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("skip_reason", line(32)),
        sa.Column("skip_count", sa.Integer, nullable=False),
        sa.Column("skip_until", Instant),
        sa.Column("result", binary()),
        sa.Column("error", long_text(), nullable=False),
        sa.Column("note", long_text(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    for name, *columns in (
        ("planned", "planned_at", "id", "outcome", "skip_count"),
        ("schedule", "schedule_id", "planned_at", "id"),
        ("outcome", "outcome", "planned_at", "id"),
        ("open", "is_open", "planned_at", "id"),
    ):
        add_index("rota_runs", f"rota_runs_{name}", columns)
