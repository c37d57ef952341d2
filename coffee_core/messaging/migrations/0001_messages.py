"""Outbox, inbox and the leases of relays and jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0001"
down_revision = None

SCHEMA = "coffee"
SHARDS = 16
NOW = sa.text("clock_timestamp()")
LONG_AGO = sa.text("'epoch'")


def moment(name: str, default: sa.TextClause) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=default)


def message_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        moment("stored_at", NOW),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", sa.Text),
    ]


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger, sa.Identity(), primary_key=True),
        *message_columns(),
        moment("not_before", LONG_AGO),
        schema=SCHEMA,
    )
    op.create_index("outbox_shard", "outbox", ["shard", "position"], schema=SCHEMA)
    op.create_index(
        "outbox_held_up", "outbox", ["topic", "key"], schema=SCHEMA, postgresql_where=sa.text("attempts > 0")
    )
    op.create_table(
        "outbox_refused",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        *message_columns(),
        moment("refused_at", NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "outbox_lease",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("holder", UUID(as_uuid=True)),
        moment("until", LONG_AGO),
        schema=SCHEMA,
    )
    op.execute(f"INSERT INTO {SCHEMA}.outbox_lease (shard) SELECT generate_series(0, {SHARDS - 1})")
    op.create_table(
        "inbox",
        sa.Column("handler", sa.Text, primary_key=True),
        sa.Column("message_id", UUID(as_uuid=True), primary_key=True),
        moment("handled_at", NOW),
        schema=SCHEMA,
    )
    op.create_index("inbox_handled_at", "inbox", ["handled_at"], schema=SCHEMA)
    op.create_table(
        "job",
        sa.Column("name", sa.Text, primary_key=True),
        moment("next_at", LONG_AGO),
        sa.Column("holder", UUID(as_uuid=True)),
        moment("until", LONG_AGO),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("job", "inbox", "outbox_lease", "outbox_refused", "outbox"):
        op.drop_table(table, schema=SCHEMA)
