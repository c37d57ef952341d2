"""PostgreSQL: SQLAlchemy Core compiles statement plans, asyncpg runs them."""
