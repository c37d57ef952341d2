"""Migrations: one alembic history for each module, in its own PostgreSQL schema; run by `coffee migrate` alone."""
