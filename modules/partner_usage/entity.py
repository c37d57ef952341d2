"""What this module stores, as its own searches read it: the meter's ledger writes it (`coffee_core.metering`)."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, Tenanted


class UsageEntity(Identified, Tenanted, Entity):
    """Table `partner_usage.partner_usage`: what is consumed of `limit` in the period that ends at `next_reset_on`.

    Of a namespace that its partner has never used there is no row.
    """

    __tablename__ = "partner_usage"
    metadata = MetaData(schema="partner_usage")

    namespace: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    limit: Mapped[int] = mapped_column(BigInteger)
    consumed: Mapped[int] = mapped_column(BigInteger)
    start_date: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    end_date: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    next_reset_on: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    frequency: Mapped[str] = mapped_column(Text)
