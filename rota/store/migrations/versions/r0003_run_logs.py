"""Create the table of the log lines of runs."""

import sqlalchemy as sa
from alembic import op

from rota.store.column_types import TABLE_OPTIONS, line, long_text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "rota_run_logs",
        sa.Column("run_id", line(160), primary_key=True),
        sa.Column("lines", long_text(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
