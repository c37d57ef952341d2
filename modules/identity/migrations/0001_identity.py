"""Partners, accounts, users, contracts, sessions."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

SCHEMA = "identity"
NOW = sa.text("now()")
FIRST_ID = 1000
"""Smaller ids are the platform's own partner (0) and the demo's, which are known by their numbers."""


def text() -> sa.Text:
    """Text that compares by code point, so that its indexes serve the sort order of every search."""
    return sa.Text(collation="C")


def identified() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(start=FIRST_ID), primary_key=True)


def versioned() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger, nullable=False, server_default="1")


def time(name: str, *, nullable: bool = False, default: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=NOW if default else None)


def timed() -> list[sa.Column[datetime]]:
    return [time("created_at", default=True), time("updated_at", default=True)]


def upgrade() -> None:
    op.create_table(
        "partner", identified(), versioned(), sa.Column("name", text(), nullable=False), *timed(), schema=SCHEMA
    )
    op.execute("INSERT INTO identity.partner (id, name) VALUES (0, 'Platform')")
    op.create_table(
        "account",
        identified(),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        versioned(),
        sa.Column("name", text(), nullable=False),
        sa.Column("status", text(), nullable=False),
        *timed(),
        sa.ForeignKeyConstraint(["partner_id"], [f"{SCHEMA}.partner.id"], name="account_partner"),
        sa.UniqueConstraint("partner_id", "id", name="account_of_partner"),
        sa.CheckConstraint("status IN ('ONBOARDING', 'ACTIVE', 'INACTIVE', 'BLOCKED')", name="account_status"),
        schema=SCHEMA,
    )
    op.create_table(
        "user",
        identified(),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        versioned(),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("email", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        *timed(),
        sa.ForeignKeyConstraint(
            ["partner_id", "account_id"], [f"{SCHEMA}.account.partner_id", f"{SCHEMA}.account.id"], name="user_account"
        ),
        sa.UniqueConstraint("email", name="user_email"),
        schema=SCHEMA,
    )
    op.create_index("user_partner", "user", ["partner_id", "id"], schema=SCHEMA)
    op.create_table(
        "contract",
        identified(),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        versioned(),
        sa.Column("contract_type", text(), nullable=False),
        sa.Column("plan", text(), nullable=False),
        time("start_time"),
        time("end_time", nullable=True),
        sa.Column("configurations", JSONB, nullable=False, server_default="{}"),
        *timed(),
        sa.ForeignKeyConstraint(["partner_id"], [f"{SCHEMA}.partner.id"], name="contract_partner"),
        sa.CheckConstraint("plan IN ('FREE', 'SAAS', 'PAID')", name="contract_plan"),
        sa.CheckConstraint("end_time > start_time", name="contract_ends_after_its_start"),
        schema=SCHEMA,
    )
    op.create_index("contract_of_partner", "contract", ["partner_id", "contract_type", "id"], schema=SCHEMA)
    op.create_table(
        "session",
        sa.Column("id", text(), primary_key=True),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("family_hash", sa.Text, nullable=False),
        sa.Column("refresh_hash", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text),
        sa.Column("client_address", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        time("created_at"),
        time("refreshed_at"),
        time("expires_at"),
        sa.ForeignKeyConstraint(["user_id"], [f"{SCHEMA}.user.id"], name="session_user"),
        schema=SCHEMA,
    )
    op.create_index("session_of_user", "session", ["user_id", "created_at"], schema=SCHEMA)
    op.create_index("session_of_account", "session", ["account_id"], schema=SCHEMA)
    op.create_index("session_end", "session", ["expires_at"], schema=SCHEMA)
    op.create_table(
        "invalidation",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("key", text(), nullable=False),
        time("created_at", default=True),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("invalidation", "session", "contract", "user", "account", "partner"):
        op.drop_table(table, schema=SCHEMA)
