"""The first tables: runs, targets, records, requests, leases, claims, clouds.

There is no way down: a database is taken back by putting the copy in place that was made before the upgrade.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("created_no", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pass_no", sa.Integer, nullable=False, server_default="0"),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_digest", "runs", ["digest"])
    op.create_table(
        "targets",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("job_id", sa.Text),
        sa.Column("disk", sa.Text),
        sa.Column("touched_at", sa.String(32)),
        sa.Column("doubtful", sa.Boolean, nullable=False),
        sa.Column("pass_no", sa.Integer, nullable=False, server_default="0"),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "server_id", name="pk_targets"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_targets_run_id"),
    )
    op.create_index("ix_targets_server_id", "targets", ["server_id"])
    op.create_table(
        "records",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("server_id", sa.String(64)),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_records"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_records_run_id"),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("done_at", sa.String(32)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_requests_run_id"),
    )
    op.create_index("ix_requests_run_id", "requests", ["run_id"])
    op.create_table(
        "leases",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("renewed_s", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_leases"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_leases_run_id"),
    )
    op.create_table(
        "claims",
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(32)),
        sa.Column("unanswered_at", sa.String(32)),
        sa.PrimaryKeyConstraint("server_id", name="pk_claims"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_claims_run_id"),
    )
    op.create_index("ix_claims_run_id", "claims", ["run_id"])
    op.create_table(
        "clouds",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_clouds"),
    )
