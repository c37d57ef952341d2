"""The SQL of `PostgresLedger`. `$1` to `$3` name a counter: partner, namespace, key."""

from __future__ import annotations

from coffee_core.metering.tables import UsageTables

MONTHS = """CASE frequency WHEN 'monthly' THEN 1 WHEN 'quarterly' THEN 3 ELSE 12 END"""


class Statements:
    """For tables of these names, which are the author's own and never a caller's."""

    def __init__(self, tables: UsageTables) -> None:
        counters, once, activities = tables
        self.look = f"""
SELECT u.consumed, u.start_date, u.frequency, u.next_reset_on,
  EXISTS (SELECT FROM {once} o WHERE o.partner_id = $1 AND o.key = $4 AND o.free_until > $5) AS free
FROM (SELECT) AS one LEFT JOIN {counters} u ON u.partner_id = $1 AND u.namespace = $2 AND u.key = $3
"""  # noqa: S608 - the names alone are put in
        self.count = f"""
UPDATE {counters} SET
  consumed = CASE WHEN next_reset_on <= $9 THEN 0 ELSE consumed END + $10,
  next_reset_on = CASE WHEN next_reset_on <= $9 THEN $8 ELSE next_reset_on END
WHERE partner_id = $1 AND namespace = $2 AND key = $3
  AND "limit" = $4 AND frequency = $5 AND start_date = $6 AND end_date IS NOT DISTINCT FROM $7
  AND CASE WHEN next_reset_on <= $9 THEN 0 ELSE consumed END + $10 <= "limit"
RETURNING consumed, next_reset_on
"""  # noqa: S608
        self.ensure = f"""
INSERT INTO {counters} (partner_id, namespace, key, "limit", frequency, start_date, end_date, next_reset_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (partner_id, namespace, key) DO NOTHING
"""  # noqa: S608
        self.lock = f"SELECT FROM {counters} WHERE partner_id = $1 AND namespace = $2 AND key = $3 FOR UPDATE"
        self.align = f"""
UPDATE {counters} SET "limit" = $4, frequency = $5, start_date = $6, end_date = $7,
  consumed = CASE WHEN start_date = $6 AND next_reset_on > $9 THEN consumed ELSE 0 END,
  next_reset_on = CASE WHEN start_date = $6 AND frequency = $5 AND next_reset_on > $9 THEN next_reset_on ELSE $8 END
WHERE partner_id = $1 AND namespace = $2 AND key = $3
RETURNING consumed
"""  # noqa: S608
        self.correct = f"UPDATE {counters} SET consumed = $4 WHERE partner_id = $1 AND namespace = $2 AND key = $3"  # noqa: S608
        self.claim = f"""
INSERT INTO {once} AS o (partner_id, key, free_until) VALUES ($1, $2, $3)
ON CONFLICT (partner_id, key) DO UPDATE SET free_until = excluded.free_until WHERE o.free_until <= $4
RETURNING 1
"""  # noqa: S608
        self.disclaim = f"DELETE FROM {once} WHERE partner_id = $1 AND key = $2"  # noqa: S608
        self.record = f"""
INSERT INTO {activities} (partner_id, account_id, type, meta) VALUES ($1, $2, $3, $4)
"""  # noqa: S608
        self.reset = f"""
WITH due AS (
  SELECT id FROM {counters} WHERE next_reset_on <= $1 AND (end_date IS NULL OR end_date > $1)
  ORDER BY next_reset_on, id LIMIT $2 FOR UPDATE SKIP LOCKED
), step AS (
  SELECT u.id, u.start_date, {MONTHS} AS months,
    (date_part('year', $1 AT TIME ZONE 'UTC') - date_part('year', u.start_date AT TIME ZONE 'UTC')) * 12
    + date_part('month', $1 AT TIME ZONE 'UTC') - date_part('month', u.start_date AT TIME ZONE 'UTC') AS between
  FROM {counters} u JOIN due USING (id)
), whole AS (
  SELECT id, start_date, months, (between::int / months) * months AS whole FROM step
)
UPDATE {counters} u SET consumed = 0, next_reset_on = (
    CASE WHEN (w.start_date AT TIME ZONE 'UTC' + make_interval(months => w.whole)) AT TIME ZONE 'UTC' > $1
      THEN w.start_date AT TIME ZONE 'UTC' + make_interval(months => w.whole)
      ELSE w.start_date AT TIME ZONE 'UTC' + make_interval(months => w.whole + w.months)
    END) AT TIME ZONE 'UTC'
FROM whole w WHERE u.id = w.id AND u.next_reset_on <= $1
RETURNING u.id
"""  # noqa: S608
