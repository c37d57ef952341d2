"""Answers to requests with an Idempotency-Key, kept so that a repeated request gets the same one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"

SCHEMA = "coffee"


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("partner_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("content_type", sa.Text),
        sa.Column("headers", ARRAY(sa.Text), nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        schema=SCHEMA,
    )
    op.create_index("idempotency_stored_at", "idempotency", ["stored_at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("idempotency", schema=SCHEMA)
