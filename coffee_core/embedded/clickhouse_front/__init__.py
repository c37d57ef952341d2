"""ClickHouse's HTTP interface before chDB, which is ClickHouse as a library: one process a data folder, so that
`clickhouse_connect.get_async_client` finds in development what it finds in production.

    python -m coffee_core.embedded.clickhouse_front CONFIG    (see `config`)
"""
