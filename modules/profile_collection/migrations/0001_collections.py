"""Collections and their items."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None

SCHEMA = "profile_collection"
NOW = sa.text("now()")


def text() -> sa.Text:
    """Text that compares by code point, so that its indexes serve the sort order of every search."""
    return sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "profile_collection",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column(
            "share_id", text(), nullable=False, server_default=sa.text("replace(gen_random_uuid()::text, '-', '')")
        ),
        sa.Column("name", text(), nullable=False),
        sa.Column("description", text()),
        sa.Column("categories", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("featured", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("analytics_enabled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("disabled_metrics", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("source", text(), nullable=False),
        sa.Column("source_id", text()),
        sa.Column("campaign_id", sa.BigInteger),
        sa.Column("custom_columns", JSONB, nullable=False, server_default="[]"),
        sa.Column("ordered_columns", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("share_enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("created_by", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.UniqueConstraint("share_id", name="profile_collection_share_id"),
        schema=SCHEMA,
    )
    op.create_index("profile_collection_partner", "profile_collection", ["partner_id", "id"], schema=SCHEMA)
    op.create_index(
        "profile_collection_recent", "profile_collection", ["partner_id", "updated_at", "id"], schema=SCHEMA
    )
    op.create_index("profile_collection_name", "profile_collection", ["partner_id", "name", "id"], schema=SCHEMA)
    op.create_table(
        "profile_collection_item",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("collection_id", sa.BigInteger, nullable=False),
        sa.Column("platform", text(), nullable=False),
        sa.Column("platform_account_code", text(), nullable=False),
        sa.Column("rank", sa.Integer),
        sa.Column("hidden", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("shortlisting_status", text()),
        sa.Column("brand_selection_status", text()),
        sa.Column("brand_selection_remarks", text()),
        sa.Column("custom_columns_data", JSONB, nullable=False, server_default="[]"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.ForeignKeyConstraint(
            ["collection_id"], [f"{SCHEMA}.profile_collection.id"], name="item_collection", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("collection_id", "platform", "platform_account_code", name="item_once_in_collection"),
        schema=SCHEMA,
    )
    op.create_index("item_partner", "profile_collection_item", ["partner_id", "collection_id", "id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("profile_collection_item", schema=SCHEMA)
    op.drop_table("profile_collection", schema=SCHEMA)
