"""Create the table of samples of metrics."""

import sqlalchemy as sa
from alembic import op

from rota.store.column_types import TABLE_OPTIONS, Instant, document, line

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "rota_metric_samples",
        sa.Column("step", line(8), primary_key=True),
        sa.Column("queue", line(200), primary_key=True),
        sa.Column("at", Instant, primary_key=True),
        sa.Column("data", document(), nullable=False),
        sa.Index("rota_metric_samples_at", "step", "at"),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
