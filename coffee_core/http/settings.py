"""Settings of the application and its pipeline."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from coffee_core.domain.secrets import StrongSecret

Network = IPv4Network | IPv6Network
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class HttpSettings(BaseSettings):
    """What one process's application does with a request besides answering it."""

    model_config = SettingsConfigDict(
        env_prefix="COFFEE_HTTP_",
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a key that is too weak is still a secret
    )

    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = LOOPBACK
    """Networks, separated by commas, whose `x-forwarded-for` and `x-forwarded-proto` are believed. Empty: nobody's."""

    identity_signing_key: StrongSecret | None = Field(default=None, validation_alias="COFFEE_IDENTITY_SIGNING_KEY")
    """Shared with the gateway. Set: a caller's identity counts only with a signed `x-bb-identity` that agrees with the
    plain headers. Unset: the plain headers are believed, so that only the gateway may reach this process."""

    identity_signing_key_previous: StrongSecret | None = Field(
        default=None, validation_alias="COFFEE_IDENTITY_SIGNING_KEY_PREVIOUS"
    )
    """Still accepted, while keys are being changed."""

    audience: str = Field(default="saas", min_length=1)
    """The name by which the gateway knows this process: `saas`, or `saas-data` for the data process."""

    callers_remembered: int = Field(default=10_000, ge=1)
    """Checked identities kept, each until its statement expires; past that the oldest is checked anew."""

    deadline_seconds: float = Field(default=30.0, gt=0)
    """From a request's arrival until its work is stopped, rolled back and answered 504. A caller may ask for less with
    `x-request-timeout` (seconds)."""

    commit_seconds: float = Field(default=10.0, gt=0)
    """How long a commit with its after-commit steps may take; longer is 503. A deadline does not stop a commit."""

    sweep_seconds: float = Field(default=0.25, gt=0, le=5)
    """How often deadlines are looked at, and log lines written: all of them are this coarse."""

    slow_seconds: float = Field(default=1.0, gt=0)
    """A request that takes longer is written to the slow-request log."""

    access_log: Literal["stdout", "stderr", "off"] = "stdout"
    """Where the access log goes, one JSON line a request."""

    capture_bytes: int = Field(default=8192, ge=0)
    """Bytes of a request's body that an error report may hold, after secrets and personal data are taken out."""

    drain_delay_seconds: float = Field(default=0.0, ge=0)
    """Between `/health/ready` turning 503 and the end of accepting connections: time for a load balancer to notice."""

    health_seconds: float = Field(default=2.0, gt=0)
    """How long one dependency's check may take before it counts as failed."""

    startup_seconds: float = Field(default=15.0, gt=0)
    """The same for a check of the start, for example whether all migrations are applied."""

    docs: bool = True
    """Whether `/openapi.json` and `/docs` are served."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [_network(text.strip()) for text in value.split(",") if text.strip()]


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no network; write 10.0.0.0/8, 10.1.2.3 or fd00::/8") from None
