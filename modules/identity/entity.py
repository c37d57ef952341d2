"""What identity stores, in schema `identity`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, SoftDeleted, Tenanted, Timed, Versioned


class AccountStatus(StrEnum):
    """Users of an account that is ONBOARDING or ACTIVE may sign in."""

    ONBOARDING = "ONBOARDING"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    BLOCKED = "BLOCKED"


OPEN = frozenset((AccountStatus.ONBOARDING, AccountStatus.ACTIVE))
"""Statuses with which one may sign in."""


class IdentityEntity(Entity):
    """What this module stores lives in its own schema."""

    __abstract__ = True
    metadata = MetaData(schema="identity")


class PartnerEntity(Identified, Versioned, Timed, IdentityEntity):
    """A company: the tenant. Its id is every other row's `partner_id`; 0 is the platform's own."""

    __tablename__ = "partner"

    name: Mapped[str] = mapped_column(Text)


class AccountEntity(Identified, Tenanted, Versioned, Timed, IdentityEntity):
    """A part of a partner, with users."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)


class UserEntity(Identified, Tenanted, Versioned, SoftDeleted, Timed, IdentityEntity):
    """Somebody who signs in. `email` is normalised; `password_hash` is argon2id in its encoded form."""

    __tablename__ = "user"

    account_id: Mapped[int] = mapped_column(BigInteger)
    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)


class ContractEntity(Identified, Tenanted, Versioned, Timed, IdentityEntity):
    """What a partner bought: from `start_time`, before `end_time` (never, where it is null)."""

    __tablename__ = "contract"

    contract_type: Mapped[str] = mapped_column(Text)
    plan: Mapped[str] = mapped_column(Text)
    start_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    end_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    configurations: Mapped[dict[str, Any]] = mapped_column(JSONB)


class SessionEntity(Tenanted, IdentityEntity):
    """A login session: it exists, or the token that names it is worth nothing.

    The hashes are SHA-256 in hex: of the part of the refresh token that stays, of the part that changes with each
    refresh, and of the one before it. `provider_...` are `iss`, `sub` and `sid` of the ID token with which it began;
    null for a login by password, and `sid` where the provider names none.
    """

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    account_id: Mapped[int] = mapped_column(BigInteger)
    family_hash: Mapped[str] = mapped_column(Text)
    refresh_hash: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str | None] = mapped_column(Text)
    client_address: Mapped[str] = mapped_column(Text)
    user_agent: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    refreshed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    provider_issuer: Mapped[str | None] = mapped_column(Text)
    provider_subject: Mapped[str | None] = mapped_column(Text)
    provider_sid: Mapped[str | None] = mapped_column(Text)


class InvalidationEntity(Identified, IdentityEntity):
    """A cache key that every gateway has to drop, stored with the change and deleted once it is pushed."""

    __tablename__ = "invalidation"

    key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class UsedStateEntity(IdentityEntity):
    """An OAuth `state` that has come back, by its SHA-256: it is good for one time."""

    __tablename__ = "used_state"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class UsedLogoutTokenEntity(IdentityEntity):
    """A logout token that has been used, by the SHA-256 of its issuer and `jti`: it is good for one time. After
    `expires_at` it would be refused for its age."""

    __tablename__ = "used_logout_token"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
