"""OAuth states that have come back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "identity"


def upgrade() -> None:
    op.create_table(
        "used_state",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("used_state_at", "used_state", ["used_at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("used_state", schema=SCHEMA)
