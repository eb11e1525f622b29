"""All that is learned of a cloud as one value, in place of its longest change alone."""

import json
import math
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# The longest duration that can be read back.
_WEEK_S = 7 * 24 * 3600.0


def upgrade() -> None:
    # Neither dialect can turn one column into the other, and there is one short row for each project.
    found = op.get_bind().execute(sa.text("SELECT scope, longest_change_s FROM clouds")).all()
    op.drop_table("clouds")
    clouds = op.create_table(
        "clouds",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_clouds"),
    )
    op.bulk_insert(clouds, [{"scope": scope, "body": _body(longest_s)} for scope, longest_s in found])


def _body(longest_s: object) -> str:
    """What is no duration is kept as it is: whoever reads it refuses it, as before."""
    if isinstance(longest_s, int | float) and 0 <= longest_s < math.inf:
        return json.dumps({"lasted_s": [min(longest_s, _WEEK_S)]})
    return json.dumps({"lasted_s": [repr(longest_s)]})
