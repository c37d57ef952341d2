"""The reference store: dictionaries that keep the promises of PostgreSQL, for tests and for reading."""
