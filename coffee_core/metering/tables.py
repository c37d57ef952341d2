"""The tables of `PostgresLedger`, for the migration of whoever owns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class UsageTables(NamedTuple):
    """Their names in SQL, with the schema."""

    counters: str
    """One row for each partner, namespace and key: what is consumed in the period that ends at `next_reset_on`."""
    once: str
    """One row for each partner and key: until when a use under it is free."""
    activities: str
    """What was done, for the record."""


COUNTED = "USAGE"
"""The `key` of the counters that are kept here: a namespace may have others."""


def table_statements(tables: UsageTables) -> Sequence[str]:
    """The statements that make them. Migrations that have run have called this: a later change is another function."""
    return (
        f"""CREATE TABLE {tables.counters} (
            partner_id bigint NOT NULL,
            namespace text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL DEFAULT '{COUNTED}',
            "limit" bigint NOT NULL CHECK ("limit" >= 0),
            consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
            start_date timestamptz NOT NULL,
            end_date timestamptz,
            next_reset_on timestamptz NOT NULL,
            frequency text NOT NULL CHECK (frequency IN ('monthly', 'quarterly', 'yearly')),
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            UNIQUE (partner_id, namespace, key)
        ) WITH (fillfactor = 80)""",
        f"CREATE INDEX ON {tables.counters} (next_reset_on)",
        f"""CREATE TABLE {tables.once} (
            partner_id bigint NOT NULL,
            key text COLLATE "C" NOT NULL,
            free_until timestamptz NOT NULL,
            PRIMARY KEY (partner_id, key)
        )""",
        f"""CREATE TABLE {tables.activities} (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            partner_id bigint NOT NULL,
            account_id bigint,
            type text COLLATE "C" NOT NULL,
            meta jsonb NOT NULL DEFAULT '{{}}',
            created_at timestamptz NOT NULL DEFAULT now()
        )""",
        f"CREATE INDEX ON {tables.activities} (partner_id, type, id)",
    )
