"""Counters of what partners use, what they have seen, and what they did."""

from alembic import op

from coffee_core.metering.tables import table_statements
from modules.partner_usage.tables import TABLES

revision = "0001"
down_revision = None


def upgrade() -> None:
    for statement in table_statements(TABLES):
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
