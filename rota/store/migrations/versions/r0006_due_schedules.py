"""Give schedules the moment before which no scheduler needs them, with an index, and their calendar as a column."""

import sqlalchemy as sa
from alembic import op

from rota.store.column_types import Instant, line
from rota.store.migrations.repeatable import add_index

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLE = "rota_schedules"
_MYSQL = "UPDATE rota_schedules SET calendar = JSON_UNQUOTE(JSON_EXTRACT(definition, '$.calendar'))"
_CALENDARS = {
    "sqlite": "UPDATE rota_schedules SET calendar = json_extract(definition, '$.calendar') "
    "WHERE json_valid(definition)",
    "postgresql": "UPDATE rota_schedules SET calendar = definition ->> 'calendar'",
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


def upgrade() -> None:
    """Add the columns, fill that of the calendars, and create the indexes."""
    known = _known_columns()
    for column in (
        sa.Column("since", Instant),
        sa.Column("due_at", Instant, nullable=False, server_default="1970-01-01 00:00:00.000000"),
        sa.Column("calendar", line(200)),
    ):
        if column.name not in known:
            op.add_column(_TABLE, column)
    op.execute(_CALENDARS[op.get_context().dialect.name])
    add_index(_TABLE, "rota_schedules_due", ["due_at", "id"])
    add_index(_TABLE, "rota_schedules_calendar", ["calendar"])


def _known_columns() -> set[str]:
    """Return the columns that an interrupted upgrade of MariaDB or MySQL has added. Written SQL adds all."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(_TABLE)}
