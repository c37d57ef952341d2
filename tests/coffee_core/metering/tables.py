"""The tables of a ledger."""

from coffee_core.metering.tables import UsageTables, table_statements
from tests.coffee_core.rest.sample import connection

TABLES = UsageTables("metered.counter", "metered.once", "metered.activity")


async def make_tables(url: str) -> None:
    """Once for a database."""
    async with connection(url) as raw:
        if await raw.fetchval("SELECT to_regnamespace('metered') IS NULL"):
            await raw.execute("CREATE SCHEMA metered")
            for statement in table_statements(TABLES):
                await raw.execute(statement)
