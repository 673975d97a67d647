"""Steps of revisions that can be repeated, because MariaDB and MySQL commit each statement by itself."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def add_index(table: str, name: str, columns: Sequence[str]) -> None:
    """Create an index, unless an interrupted upgrade has created it. MySQL has no IF NOT EXISTS for indexes."""
    if op.get_context().dialect.name not in ("mysql", "mariadb"):
        op.create_index(name, table, list(columns), if_not_exists=True)
    elif op.get_context().as_sql or name not in _indexes(table):
        op.create_index(name, table, list(columns))


def _indexes(table: str) -> set[str | None]:
    return {each["name"] for each in sa.inspect(op.get_bind()).get_indexes(table)}
