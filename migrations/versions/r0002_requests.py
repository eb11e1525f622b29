"""Requests say why, and what they are about."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("reason", sa.Text))
    op.add_column("requests", sa.Column("arguments", sa.Text))
