"""The Entity: what is stored.

Columns with a meaning of their own, found by name: `partner_id` scopes every statement to the caller's partner,
`version` is the ETag and counts up with each write, `enabled` makes DELETE soft, `created_at`, `updated_at`,
`created_by` and `updated_by` are filled in.
"""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Entity(DeclarativeBase):
    """Base of all; a module declares its own abstract subclass with `metadata = MetaData(schema="its_name")`."""


class Identified:
    """A row with a generated 64-bit id."""

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class Versioned:
    """A row whose ETag is its version."""

    version: Mapped[int] = mapped_column(BigInteger, server_default="1")


class Timed:
    """A row that remembers when it was made and last written, in UTC."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Tenanted:
    """A row that belongs to one partner; to every other partner it does not exist."""

    partner_id: Mapped[int] = mapped_column(BigInteger)


class SoftDeleted:
    """A row that DELETE hides and restore brings back."""

    enabled: Mapped[bool] = mapped_column(server_default="true")
