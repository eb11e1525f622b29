"""Tables, in SQL that SQLite and PostgreSQL both speak. docs/reference/database.md explains them.

`metadata` is the result of the migrations; a test compares the two.
"""

from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)

from fleetos.store.database.columns import time_text

# Every constraint has a name, so that a later migration can refer to it in both dialects.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """Time in UTC, as `time_text` writes it."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else time_text(value)


runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", String(80), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    # Passes of all runs are numbered together, in the order of their commits, which clocks of two machines do not tell.
    Column("created_no", Integer, nullable=False, server_default="0"),
    Column("pass_no", Integer, nullable=False, server_default="0"),
    Column("body", Text, nullable=False),
)

targets = Table(
    "targets",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id"), nullable=False),
    Column("server_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    # Values of the cloud go into columns without a limit: a commit must not fail because of a long job id.
    Column("job_id", Text),
    Column("disk", Text),
    Column("touched_at", UtcTime),
    Column("doubtful", Boolean, nullable=False),
    # The latest pass in which the run took up the server.
    Column("pass_no", Integer, nullable=False, server_default="0"),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "server_id"),
    Index("ix_targets_server_id", "server_id"),
)

records = Table(
    "records",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("server_id", String(64)),
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(32), ForeignKey("runs.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("done_at", UtcTime),
    Column("reason", Text, nullable=False),
    # JSON: what the request is about.
    Column("arguments", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id"), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("holder", Text),
    Column("renewed_s", Float, nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("server_id", String(64), primary_key=True),
    Column("run_id", String(32), ForeignKey("runs.id"), index=True),
    Column("unanswered_at", UtcTime),
)

clouds = Table(
    "clouds",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("body", Text, nullable=False),
)
