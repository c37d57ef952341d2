"""A profile's code for the outside, and indexes for searches by audience."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "social_profile"
PREFIX = {"instagram": "IA_", "youtube": "YA_"}
SHARES = {
    "audience_gender": ("male_per", "female_per"),
    "audience_age": ("13-17", "18-24", "25-34", "35-44", "45+"),
}
PLACES = ("city", "country")


def share(column: str, key: str) -> str:
    """The expression of a condition on a number in a document, letter for letter."""
    node = f"({column} -> '{key}')"
    return f"(CASE WHEN (jsonb_typeof({node}) = 'number') THEN CAST(({node} #>> '{{}}') AS FLOAT) END)"


def upgrade() -> None:
    for table, prefix in PREFIX.items():
        made = f"coalesce(profile_id, '{prefix}' || id::text)"
        code = sa.Column("profile_code", sa.Text(collation="C"), sa.Computed(made, persisted=True), nullable=False)
        op.add_column(table, code, schema=SCHEMA)
        op.create_index(f"{table}_profile_code", table, ["profile_code", "id"], schema=SCHEMA)
        for column, keys in SHARES.items():
            for at, key in enumerate(keys):
                op.execute(
                    f"CREATE INDEX {table}_{column}_{at} ON {SCHEMA}.{table} ({share(column, key)}) WHERE enabled"
                )
        for place in PLACES:
            op.execute(
                f"CREATE INDEX {table}_audience_{place} ON {SCHEMA}.{table} "
                f"USING gin ((audience_location -> '{place}')) WHERE enabled"
            )
        for place in ("city", "state"):
            op.execute(f"CREATE INDEX {table}_{place} ON {SCHEMA}.{table} ({place}) WHERE enabled")
        op.create_index(f"{table}_keywords", table, ["keywords"], schema=SCHEMA, postgresql_using="gin")
        op.create_index(f"{table}_location", table, ["location"], schema=SCHEMA, postgresql_using="gin")


def downgrade() -> None:
    for table in PREFIX:
        names = [f"{column}_{at}" for column, keys in SHARES.items() for at in range(len(keys))]
        names += [*(f"audience_{place}" for place in PLACES), "city", "state", "keywords", "location"]
        for name in names:
            op.execute(f"DROP INDEX {SCHEMA}.{table}_{name}")
        op.drop_column(table, "profile_code", schema=SCHEMA)
