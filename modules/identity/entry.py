"""What identity says on the wire. No Entry has a field for a password or a hash: what is not there cannot leak."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NotRequired, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from coffee_core.domain.entry import Entry, ReadOnly, Searchable
from modules.identity.entity import AccountStatus

Name = Annotated[str, Field(min_length=1, max_length=200)]
PlanType = Literal["FREE", "SAAS", "PAID"]
Password = Annotated[str, Field(max_length=1024)]


class PartnerEntry(Entry):
    """A company."""

    id: Annotated[int | None, ReadOnly()] = None
    name: Annotated[Name, Searchable()]
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None


class AccountEntry(Entry):
    """A part of a partner. INACTIVE and BLOCKED end the sessions of its users at once."""

    id: Annotated[int | None, ReadOnly()] = None
    partner_id: Annotated[int | None, ReadOnly()] = None
    name: Name
    status: AccountStatus = AccountStatus.ONBOARDING
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None


class UserEntry(Entry):
    """Somebody who signs in with `email`."""

    id: Annotated[int | None, ReadOnly()] = None
    partner_id: Annotated[int | None, ReadOnly()] = None
    account_id: Annotated[int | None, ReadOnly()] = None
    email: Annotated[str, Field(max_length=254), Searchable()]
    name: Annotated[Name, Searchable()]
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None


class Usage(TypedDict):
    """What a contract grants of one thing that is counted: `limit` in each period, from `start` to `end`, which are
    the contract's own where they are left out."""

    limit: Annotated[int, Field(ge=0, le=10**12)]
    frequency: Literal["monthly", "quarterly", "yearly"]
    start: NotRequired[AwareDatetime]
    end: NotRequired[AwareDatetime]


Namespace = Literal["DISCOVERY", "CAMPAIGN_REPORT", "PROFILE_PAGE", "ACCOUNT_TRACKING"]


class ContractEntry(Entry):
    """What a partner bought, from `start_time` on and before `end_time`. Of type SAAS it gives the plan."""

    id: Annotated[int | None, ReadOnly()] = None
    partner_id: Annotated[int | None, ReadOnly()] = None
    contract_type: Annotated[str, Field(pattern=r"^[A-Z][A-Z_]{0,39}$")]
    plan: PlanType
    start_time: AwareDatetime
    end_time: AwareDatetime | None = None
    configurations: dict[Namespace, Usage] = {}
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_time is not None and self.end_time <= self.start_time:
            raise ValueError("endTime must be after startTime")
        return self


class SessionEntry(Entry):
    """A login session, as its owner and operators see it."""

    id: Annotated[str | None, ReadOnly()] = None
    user_id: Annotated[int | None, ReadOnly()] = None
    partner_id: Annotated[int | None, ReadOnly()] = None
    client_address: Annotated[str | None, ReadOnly()] = None
    user_agent: Annotated[str | None, ReadOnly()] = None
    created_at: Annotated[datetime | None, ReadOnly()] = None
    refreshed_at: Annotated[datetime | None, ReadOnly()] = None
    expires_at: Annotated[datetime | None, ReadOnly()] = None


class TokensEntry(Entry):
    """What a login or a refresh answers. `expires_in` is the access token's lifetime in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    partner_id: int
    plan_type: PlanType


class SessionFact(Entry):
    """A session as the gateway is told of it; in the same form in Redis. `exp` is in epoch seconds."""

    uid: int
    account_id: int
    partner_id: int
    exp: int
    operator: bool


class PlanFact(Entry):
    """A partner's plan as the gateway is told of it. `until`: epoch seconds at which it may change, null for never."""

    type: PlanType
    until: float | None


class Body(BaseModel):
    """A request's body that is no Entry: unknown members are refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class LoginBody(Body):
    """`POST /auth/login`."""

    email: Annotated[str, Field(max_length=1024)]
    password: Annotated[Password, Field(repr=False)]


class RefreshBody(Body):
    """`POST /auth/refresh`."""

    refresh_token: Annotated[str, Field(max_length=256, repr=False)]


class LogoutBody(Body):
    """`POST /auth/logout`, for who has no access token at hand."""

    refresh_token: Annotated[str | None, Field(max_length=256, repr=False)] = None


class LogoutTokenForm(BaseModel):
    """`POST /auth/backchannel-logout`, as a form; for the description alone, as what else it holds is passed over."""

    logout_token: Annotated[str, Field(repr=False)]


class NewUserBody(Body):
    """`POST /users`."""

    account_id: int
    email: Annotated[str, Field(max_length=254)]
    name: Name
    password: Annotated[Password, Field(repr=False)]


class PasswordBody(Body):
    """`PUT /users/{id}/password`. Who changes his own says the one he has."""

    current_password: Annotated[Password | None, Field(repr=False)] = None
    new_password: Annotated[Password, Field(repr=False)]
