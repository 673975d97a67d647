"""Create the table of deleted tasks."""

import sqlalchemy as sa
from alembic import op

from rota.store.column_types import TABLE_OPTIONS, Instant, binary, line

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "rota_trash",
        sa.Column("id", line(64), primary_key=True),
        sa.Column("deletion", line(64), nullable=False),
        sa.Column("queue", line(200), nullable=False),
        sa.Column("task_id", line(200), nullable=False),
        sa.Column("type", line(200), nullable=False),
        sa.Column("state", line(32), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", Instant, nullable=False),
        sa.Column("deleted_by", line(200), nullable=False),
        sa.Column("data", binary(), nullable=False),
        sa.Index("rota_trash_deleted", "deleted_at", "id", "size"),
        sa.Index("rota_trash_task", "queue", "task_id", "deleted_at"),
        sa.Index("rota_trash_deletion", "deletion", "deleted_at", "id"),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
