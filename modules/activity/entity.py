"""What partners did, as it is stored."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, Tenanted


class ActivityEntity(Identified, Tenanted, Entity):
    """Table `activity.activity`. A row is never changed."""

    __tablename__ = "activity"
    metadata = MetaData(schema="activity")

    title: Mapped[str] = mapped_column(Text)
    activity_type: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]] = mapped_column(JSONB)
    filters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    result_count: Mapped[int | None] = mapped_column(BigInteger)
    platform: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
