"""Which login at the sign-in provider a session came from, and the logout tokens that have been used."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "identity"
COLUMNS = ("provider_issuer", "provider_subject", "provider_sid")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("session", sa.Column(name, sa.Text(collation="C")), schema=SCHEMA)
    for name in COLUMNS[1:]:
        op.create_index(
            f"session_{name}", "session", [name], schema=SCHEMA, postgresql_where=sa.text(f"{name} IS NOT NULL")
        )
    op.create_table(
        "used_logout_token",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("used_logout_token_end", "used_logout_token", ["expires_at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("used_logout_token", schema=SCHEMA)
    for name in COLUMNS:
        op.drop_column("session", name, schema=SCHEMA)
