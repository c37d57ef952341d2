"""ClickHouse: shapes compiled to its SQL once, values bound on the server, rows over HTTP."""
