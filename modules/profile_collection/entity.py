"""Collections and their items as they are stored."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Integer, MetaData, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, SoftDeleted, Tenanted, Timed, Versioned

UNGUESSABLE = text("replace(gen_random_uuid()::text, '-', '')")
"""122 random bits, made by PostgreSQL so that a collection is created by one statement."""


class ProfileCollectionEntity(Entity):
    """What this module stores lives in its own schema."""

    __abstract__ = True
    metadata = MetaData(schema="profile_collection")


class CollectionEntity(Identified, Tenanted, Versioned, SoftDeleted, Timed, ProfileCollectionEntity):
    """Table `profile_collection.profile_collection`."""

    __tablename__ = "profile_collection"

    share_id: Mapped[str] = mapped_column(Text, unique=True, server_default=UNGUESSABLE)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    categories: Mapped[list[str]] = mapped_column(ARRAY(Text))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    featured: Mapped[bool]
    analytics_enabled: Mapped[bool]
    disabled_metrics: Mapped[list[str]] = mapped_column(ARRAY(Text))
    source: Mapped[str] = mapped_column(Text)
    source_id: Mapped[str | None] = mapped_column(Text)
    campaign_id: Mapped[int | None] = mapped_column(BigInteger)
    custom_columns: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    ordered_columns: Mapped[list[str]] = mapped_column(ARRAY(Text))
    share_enabled: Mapped[bool]
    created_by: Mapped[int | None] = mapped_column(BigInteger)


class ItemEntity(Identified, Tenanted, Versioned, Timed, ProfileCollectionEntity):
    """Table `profile_collection.profile_collection_item`."""

    __tablename__ = "profile_collection_item"

    collection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("profile_collection.profile_collection.id", ondelete="CASCADE")
    )
    platform: Mapped[str] = mapped_column(Text)
    platform_account_code: Mapped[str] = mapped_column(Text)
    rank: Mapped[int | None] = mapped_column(Integer)
    hidden: Mapped[bool]
    shortlisting_status: Mapped[str | None] = mapped_column(Text)
    brand_selection_status: Mapped[str | None] = mapped_column(Text)
    brand_selection_remarks: Mapped[str | None] = mapped_column(Text)
    custom_columns_data: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
