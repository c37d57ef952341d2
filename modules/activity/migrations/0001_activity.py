"""What partners did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

SCHEMA = "activity"


def text() -> sa.Text:
    """Text that compares by code point, so that its indexes serve the sort order of every search."""
    return sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        sa.Column("title", text(), nullable=False),
        sa.Column("activity_type", text(), nullable=False),
        sa.Column("params", JSONB, nullable=False, server_default="{}"),
        sa.Column("filters", JSONB, nullable=False, server_default="{}"),
        sa.Column("result_count", sa.BigInteger),
        sa.Column("platform", text()),
        sa.Column("created_by", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        schema=SCHEMA,
    )
    op.create_index("activity_partner", "activity", ["partner_id", "id"], schema=SCHEMA)
    op.create_index("activity_type", "activity", ["partner_id", "activity_type", "id"], schema=SCHEMA)
    op.create_index("activity_recent", "activity", ["partner_id", "created_at", "id"], schema=SCHEMA)
    op.create_index("activity_age", "activity", ["created_at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("activity", schema=SCHEMA)
