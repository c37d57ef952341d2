"""Versions of this module's tables, which are all in ClickHouse."""
