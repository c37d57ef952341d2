"""Indexes for what operators ask: the sessions of one partner, and partners by words of their names."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = "identity"


def upgrade() -> None:
    op.create_index("session_of_partner", "session", ["partner_id", "created_at", "id"], schema=SCHEMA)
    op.execute(
        f"""
        DO $$ BEGIN
            CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
            CREATE INDEX partner_name ON {SCHEMA}.partner USING gin (name public.gin_trgm_ops);
        EXCEPTION WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
            RAISE NOTICE 'no pg_trgm here: partners are found by name without an index';
        END $$
        """
    )


def downgrade() -> None:
    op.execute(f"DROP INDEX IF EXISTS {SCHEMA}.partner_name")
    op.drop_index("session_of_partner", "session", schema=SCHEMA)
