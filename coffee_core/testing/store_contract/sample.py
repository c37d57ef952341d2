"""The Entity that the contract is held with: a column of every type that matters."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, DateTime, MetaData, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, SoftDeleted, Tenanted, Timed, Versioned
from coffee_core.stores.clickhouse.table import ClickHouseTable, kept_in_clickhouse


class ContractEntity(Entity):
    """Tables of the contract, in a schema of their own."""

    __abstract__ = True
    metadata = MetaData(schema="coffee_contract")


class Sample(Identified, Tenanted, Versioned, SoftDeleted, Timed, ContractEntity):
    """`code` is unique within a partner, `uid` for all partners together; every other column may be left out."""

    __tablename__ = "sample"
    __table_args__ = (
        UniqueConstraint("partner_id", "code"),
        UniqueConstraint("uid"),
        kept_in_clickhouse(ClickHouseTable(order_by=("partner_id", "id"), replacing=True)),
    )

    code: Mapped[str] = mapped_column(Text)
    uid: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    title: Mapped[str | None] = mapped_column(Text)
    rank: Mapped[int | None]
    big: Mapped[int | None] = mapped_column(BigInteger)
    score: Mapped[float | None]
    active: Mapped[bool | None]
    seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    info: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")


class Note(Tenanted, ContractEntity):
    """A row with a text key, nothing counted, nothing soft: what DELETE removes is gone."""

    __tablename__ = "note"
    __table_args__ = kept_in_clickhouse(ClickHouseTable(order_by=("partner_id", "id"), replacing=True))

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    body: Mapped[str | None] = mapped_column(Text)
