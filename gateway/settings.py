"""Settings of the gateway: every bound, with its default and a sentence."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from coffee_core.domain.errors import CoffeeError
from coffee_core.domain.secrets import ADVICE, weak_secret
from gateway.data_plane.targets import base_url, read_target
from gateway.route_file import read_routes
from gateway.scheduling import Scheduling, problem
from gateway.secret_files import read_secrets
from gateway.verdict.cors import ORIGIN
from gateway.verdict.token import ASYMMETRIC, SYMMETRIC


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""Separated by commas."""

Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]
"""Networks or addresses, separated by commas."""


def _platform(name: str) -> AliasChoices:
    """A variable that the whole platform shares, and the field's own name for programs."""
    return AliasChoices(f"COFFEE_{name.upper()}", name)


class GatewaySettings(BaseSettings):
    """Read from the environment: `COFFEE_GATEWAY_*`, and the names that the whole platform shares."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_GATEWAY_", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` or `::` for all."""

    port: int = Field(default=8009, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    metrics_host: str = "127.0.0.1"
    """Address of the metrics port, which scrapers use."""

    metrics_port: int = Field(default=9292, ge=0, le=65535, validation_alias=_platform("metrics_port"))
    """Port of `/metrics` for scrapers; the gateway's own port answers it as well. All workers share it, and each
    answers for all, by the label `worker`."""

    workers: int = Field(default=1, ge=1, le=256)
    """Processes that share the port (SO_REUSEPORT). Without Redis each counts limits for itself."""

    scheduling: Scheduling = "normal"
    """`batch` (Linux): a request that arrives does not take the processor from who sent it, so that a gateway that
    shares its processors with a proxy or with its load works off many at a time, for less CPU each. Where programs
    that never sleep share them, it waits for its turn behind those: a few milliseconds a request."""

    audit_path: Path | None = None
    """File to which each act of an operator is appended, as JSON lines. Unset: one that ends with the gateway; every
    act is in the process's log as well."""

    drain_seconds: float = Field(default=10.0, gt=0)
    """After SIGTERM: time for requests in hand to end. Seconds."""

    saas_url: str = Field(default="http://127.0.0.1:7179", validation_alias=_platform("saas_url"))
    """Upstream of all services but the two below; several targets are separated by commas, each with a weight if
    they are not to have equal shares: `http://a:7179;weight=3,http://b:7179`."""

    saas_data_url: str = Field(default="http://127.0.0.1:7180", validation_alias=_platform("saas_data_url"))
    """Upstream of `social-profile-service`; several targets are separated by commas."""

    identity_url: str | None = Field(default=None, validation_alias=_platform("identity_url"))
    """Upstream of `/auth/*` and `identity-service`, and the authority on sessions and plans. Unset: `saas_url`."""

    routes_file: Path | None = None
    """JSON file with routes of your own, which stand before the built-in ones: see `gateway.route_file`."""

    redis_url: SecretStr | None = Field(default=None, validation_alias=_platform("redis_url"))
    """Second tier of the caches and the push link: `redis://`, `unix://`, `redis+cluster://a:1,b:2`. Unset: none, and
    the first tier keeps nothing for longer than `doubt_seconds`."""

    jwt_secret: SecretStr | None = Field(default=None, validation_alias=_platform("jwt_secret"))
    """Verifies HS256 tokens; at least 32 bytes, random."""

    jwt_previous_secret: SecretStr | None = None
    """The secret before that one, for as long as its tokens live."""

    jwt_secrets_file: Path | None = None
    """File with secrets instead of those two, one a line, the present one first; all of them verify. A change of the
    file counts without a restart, and tokens of a secret that is gone from it are refused from then on."""

    identity_signing_key_file: Path | None = None
    """File whose first line is `identity_signing_key`; a change of it counts without a restart."""

    secrets_check_seconds: float = Field(default=2.0, gt=0)
    """Between two looks at the files of secrets. Seconds."""

    jwt_algorithms: Names = ("HS256",)
    """What tokens may be signed with: of HS256, HS384, HS512, RS256, ES256, EdDSA. A token cannot widen it."""

    jwks_url: str | None = None
    """Where the public keys of RS256, ES256 and EdDSA tokens are."""

    jwks_refresh_seconds: float = Field(default=300.0, gt=0)
    """Age at which the keys are read anew, and for how long a verified token is remembered at most. Seconds."""

    jwks_unknown_seconds: float = Field(default=30.0, gt=0)
    """For how long a key id that the URL does not know is refused without a look. Seconds."""

    jwt_issuer: str | None = None
    """Required `iss`; unset: any."""

    jwt_audience: str | None = None
    """Required `aud`; unset: it is not looked at."""

    jwt_leeway_seconds: float = Field(default=5.0, ge=0, le=300)
    """Clock difference that is forgiven. Seconds."""

    jwt_max_bytes: int = Field(default=4096, ge=256, le=65536)
    """Longest token that is looked at. Bytes."""

    session_cookie: str = Field(default="coffee_session", pattern=r"^[A-Za-z0-9_\-]+$")
    """Name of the cookie that holds a browser's token."""

    identity_signing_key: SecretStr | None = Field(default=None, validation_alias=_platform("identity_signing_key"))
    """Signs `x-bb-identity` (HS256); at least 32 bytes, random; the modules have the same one."""

    statement_seconds: float = Field(default=60.0, ge=5, le=600)
    """Lifetime of a signed statement; it is used again for half of that. Seconds."""

    identity_audience: str = "saas"
    """Audience of the statements for the `identity` upstream: the name of the process that serves it."""

    credential_upstreams: Names = ("identity",)
    """Upstreams that see the caller's Authorization and session cookie: `saas`, `saas-data`, `identity`."""

    identity_timeout_seconds: float = Field(default=2.0, gt=0)
    """For the authority's answer. Seconds."""

    identity_connections: int = Field(default=50, ge=1)
    """Connections to the authority, per process."""

    redis_timeout_seconds: float = Field(default=0.25, gt=0)
    """For each operation of Redis, waiting for a connection included. Seconds."""

    redis_connections: int = Field(default=32, ge=1)
    """Connections to Redis, per process; two more carry the push link."""

    session_seconds: float = Field(default=60.0, gt=0)
    """For how long a session is believed in process while the push link is sound. Seconds."""

    plan_seconds: float = Field(default=60.0, gt=0)
    """The same for a plan. Seconds."""

    remote_seconds: float = Field(default=600.0, gt=0)
    """For how long Redis keeps what the gateway stored there. Seconds."""

    unknown_seconds: float = Field(default=5.0, ge=0)
    """For how long an unknown session is remembered as such. Seconds."""

    stale_seconds: float = Field(default=3600.0, ge=0)
    """For how long a known session or plan stands in while neither Redis nor the authority answers, and never past its
    own end. Seconds."""

    doubt_seconds: float = Field(default=2.0, ge=0)
    """For how long anything is believed in process while the push link is in doubt. Seconds."""

    link_doubt_seconds: float = Field(default=1.0, gt=0)
    """Silence of the canary after which the push link is in doubt. The later of this and `doubt_seconds` is the longest
    that a revocation can take whose push was lost. Seconds."""

    canary_seconds: float = Field(default=0.25, gt=0)
    """Between two canaries. Seconds."""

    token_cache_bytes: int = Field(default=64 << 20, ge=1 << 16)
    """Memory for verified tokens, per process. Bytes."""

    session_cache_bytes: int = Field(default=32 << 20, ge=1 << 16)
    """Memory for sessions, per process. Bytes."""

    plan_cache_bytes: int = Field(default=4 << 20, ge=1 << 16)
    """Memory for plans, per process. Bytes."""

    max_lookups: int = Field(default=2000, ge=1)
    """Look-ups of sessions under way at once, per process; the same for plans. One more is answered 503."""

    trusted_proxies: Networks = ()
    """Who is believed about `x-forwarded-*`, `forwarded` and `traceparent`. Empty: nobody."""

    proxy_protocol_from: Networks = ()
    """Load balancers whose connections begin with the PROXY protocol, version 1 or 2; without it they are closed.
    Whoever may send it may be anybody: name only what others cannot connect from. Empty: nobody."""

    forward_auth_from: Networks = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Who may ask for verdicts at `/_gateway/verdict`; to all others it does not exist."""

    forward_auth_socket: Path | None = None
    """A socket file that the gateway listens on as well, without TLS, for a proxy on the same machine: a question costs
    less CPU time than over TCP. Who connects there counts as 127.0.0.1; the folder's permissions say who can. Unset:
    none."""

    forward_auth_keep_seconds: int = Field(default=2, ge=0, le=60)
    """For how long a proxy may keep a verdict; a revocation takes that much longer for it. Seconds."""

    cors_origins: Names = ()
    """Origins of the web pages that may call with credentials: `https://app.example.com`, `https://*.example.com`."""

    cors_seconds: int = Field(default=600, ge=0, le=86400)
    """For how long a browser may remember a preflight. Seconds."""

    denied_networks: Networks = ()
    """Networks whose requests are refused (403), whatever they ask for."""

    denied_agents: Names = ()
    """Words: a request whose User-Agent has one of them, in any case, is refused (403). Say what robots may do in
    robots.txt; this is for those that do not read it."""

    agents_must_be_named: bool = False
    """Whether a request without a User-Agent is refused (403)."""

    address_rate: float = Field(default=200.0, gt=0)
    """Requests a second of one address (of one /64 in IPv6), over all processes."""

    address_burst: int = Field(default=1000, ge=1)
    """Requests of one address at once."""

    partner_rate_free: float = Field(default=20.0, gt=0)
    """Requests a second of one partner on FREE, over all processes."""

    partner_rate_saas: float = Field(default=200.0, gt=0)
    """The same on SAAS."""

    partner_rate_paid: float = Field(default=1000.0, gt=0)
    """The same on PAID."""

    partner_burst_seconds: float = Field(default=5.0, gt=0)
    """How many seconds' worth of its rate a partner may use at once."""

    def problems(self) -> list[str]:
        """What keeps a gateway from starting, all of it; the values are not repeated."""
        found = [*self._key_problems(), *self._url_problems()]
        found += [
            f"COFFEE_GATEWAY_CORS_ORIGINS: `{origin}` is no origin: `https://host[:port]` or `https://*.domain`"
            for origin in self.cors_origins
            if ORIGIN(origin) is None
        ]
        try:
            read_routes(self.routes_file)
        except CoffeeError as error:
            found += error.detail.splitlines()
        unknown = set(self.credential_upstreams) - {"saas", "saas-data", "identity"}
        found += [f"COFFEE_GATEWAY_CREDENTIAL_UPSTREAMS: `{name}` is no upstream" for name in sorted(unknown)]
        unfit = problem(self.scheduling)
        return found if unfit is None else [*found, unfit]

    def check(self) -> None:
        """Refuse to start with every mistake in one error."""
        problems = self.problems()
        if problems:
            raise CoffeeError("\n".join(problems))

    def _key_problems(self) -> list[str]:
        found: list[str] = []
        filed = {
            name: file
            for name, file in (
                ("COFFEE_JWT_SECRET", self.jwt_secrets_file),
                ("COFFEE_IDENTITY_SIGNING_KEY", self.identity_signing_key_file),
            )
            if file is not None
        }
        for file in filed.values():
            try:
                read_secrets(file)
            except CoffeeError as error:
                found.append(error.detail)
        for name, secret, needed in (
            ("COFFEE_JWT_SECRET", self.jwt_secret, not SYMMETRIC.isdisjoint(self.jwt_algorithms)),
            ("COFFEE_GATEWAY_JWT_PREVIOUS_SECRET", self.jwt_previous_secret, False),
            ("COFFEE_IDENTITY_SIGNING_KEY", self.identity_signing_key, True),
        ):
            if secret is None and needed and name not in filed:
                found.append(f"{name} is not set: {ADVICE}")
            elif secret is not None and weak_secret(secret.get_secret_value()):
                found.append(f"{name}: too weak: {ADVICE}")
        known = SYMMETRIC | ASYMMETRIC
        listed = ", ".join(sorted(known))
        found += [
            f"COFFEE_GATEWAY_JWT_ALGORITHMS: `{name}` is not one of {listed}"
            for name in self.jwt_algorithms
            if name not in known
        ]
        if not self.jwt_algorithms:
            found.append(f"COFFEE_GATEWAY_JWT_ALGORITHMS is empty: name at least one of {listed}")
        if not ASYMMETRIC.isdisjoint(self.jwt_algorithms) and self.jwks_url is None:
            found.append("COFFEE_GATEWAY_JWKS_URL is not set, and RS256, ES256 or EdDSA is allowed")
        return found

    def _url_problems(self) -> list[str]:
        found: list[str] = []
        for name, urls in (
            ("COFFEE_SAAS_URL", self.saas_url),
            ("COFFEE_SAAS_DATA_URL", self.saas_data_url),
            ("COFFEE_IDENTITY_URL", self.identity_url),
        ):
            for url in urls.split(",") if urls is not None else ():
                try:
                    read_target(url.strip())
                except ValueError as error:
                    found.append(f"{name}: {error}")
        authority = base_url(self.upstreams()["identity"][0])
        for name, asked in (("COFFEE_IDENTITY_URL", authority), ("COFFEE_GATEWAY_JWKS_URL", self.jwks_url)):
            parts = urlsplit(asked or "http://unset")
            if not found and (parts.scheme not in ("http", "https") or not parts.hostname):
                found.append(f"{name}: the gateway itself asks there, so it begins with http:// or https://")
        return found

    def upstreams(self) -> dict[str, tuple[str, ...]]:
        """The targets of each upstream group, without a slash at the end."""
        named = {
            "saas": self.saas_url,
            "saas-data": self.saas_data_url,
            "identity": self.identity_url or self.saas_url,
        }
        return {name: tuple(url.strip().rstrip("/") for url in urls.split(",")) for name, urls in named.items()}
