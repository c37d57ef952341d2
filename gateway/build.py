"""The composition root of the gateway: settings in, a verdict out. Opens nothing before `start`."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
from prometheus_client.registry import Collector

from coffee_core.cache.entry import CachedEntry
from coffee_core.cache.lifetimes import Lifetimes
from coffee_core.cache.link import InvalidationLink
from coffee_core.cache.local import QueueCache
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from coffee_core.cache.stats import CacheCollector
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.domain.plan import Plan
from gateway.data_plane.targets import base_url
from gateway.route_file import LimitEntry, read_routes
from gateway.secret_files import SecretFiles, Watched, read_secrets
from gateway.settings import GatewaySettings
from gateway.verdict.admittance import Rules
from gateway.verdict.canary import CanarySession
from gateway.verdict.cookies import SessionCookie
from gateway.verdict.core import VerdictCore
from gateway.verdict.cors import Cors
from gateway.verdict.exchange import TokenRecord
from gateway.verdict.forwarding import TrustedProxies
from gateway.verdict.identity import IdentityClient
from gateway.verdict.identity_statement import StatementSigner
from gateway.verdict.jwks import Jwks
from gateway.verdict.ledger import RedisLedger
from gateway.verdict.limits import LimitCollector, Limits, RouteLimit
from gateway.verdict.meter import Meter
from gateway.verdict.parts import Parts
from gateway.verdict.plan import Grant, PlanSource
from gateway.verdict.quota import Per, Quota
from gateway.verdict.session import Session, SessionSource
from gateway.verdict.settler import Settler
from gateway.verdict.token import TokenSettings, TokenVerifier


class BuiltVerdict:
    """The verdict and all that lives and ends with it."""

    def __init__(self, settings: GatewaySettings) -> None:
        settings.check()
        self.client = httpx2.AsyncClient(
            timeout=settings.identity_timeout_seconds,
            limits=httpx2.Limits(
                max_connections=settings.identity_connections, max_keepalive_connections=settings.identity_connections
            ),
            follow_redirects=False,
            trust_env=False,
        )
        self.link: InvalidationLink | None = None
        self.remote: RedisTier | None = None
        if settings.redis_url is not None:
            url, timeout = settings.redis_url.get_secret_value(), settings.redis_timeout_seconds
            self.remote = RedisTier(RedisScripts.open(url, timeout=timeout, max_connections=settings.redis_connections))
            self.link = InvalidationLink(
                url, canary_every=settings.canary_seconds, doubt_after=settings.link_doubt_seconds
            )
        key = _signing_key(settings)
        signer = StatementSigner(
            key,
            lifetime=settings.statement_seconds,
            reuse=settings.statement_seconds / 2,
            audiences={"identity": settings.identity_audience},
        )
        identity = IdentityClient(base_url(settings.upstreams()["identity"][0]), self.client, key)
        self.sessions: TwoTierCache[Session] = TwoTierCache(
            SessionSource(identity),
            QueueCache[CachedEntry[Session]](settings.session_cache_bytes),
            remote=self.remote,
            link=self.link,
            lifetimes=_lifetimes(settings, settings.session_seconds),
        )
        if self.link is not None:
            self.link.canary = CanarySession(self.sessions)
        self.plans: TwoTierCache[Grant] = TwoTierCache(
            PlanSource(identity),
            QueueCache[CachedEntry[Grant]](settings.plan_cache_bytes),
            remote=self.remote,
            link=self.link,
            lifetimes=_lifetimes(settings, settings.plan_seconds),
        )
        verifier = _verifier(settings, self.client)
        tokens = QueueCache[TokenRecord](settings.token_cache_bytes)

        def verify_with(secrets: Sequence[str]) -> None:
            verifier.replace_secrets(secrets)
            tokens.clear()

        def sign_with(secrets: Sequence[str]) -> None:
            signer.replace_key(secrets[0])
            identity.key = secrets[0]

        watched = ((settings.jwt_secrets_file, verify_with), (settings.identity_signing_key_file, sign_with))
        self.secret_files = SecretFiles(
            [Watched(path, changed) for path, changed in watched if path is not None], settings.secrets_check_seconds
        )
        configured = read_routes(settings.routes_file)
        self.settler = None if self.remote is None else Settler(RedisLedger(self.remote.scripts))
        self.limits = _limits(settings, configured.limits, self.settler)
        self.core = VerdictCore(
            Parts(
                routes=configured.routes,
                verifier=verifier,
                sessions=self.sessions,
                plans=self.plans,
                tokens=tokens,
                signer=signer,
                cors=Cors(settings.cors_origins, settings.cors_seconds),
                proxies=TrustedProxies(settings.trusted_proxies),
                cookie=SessionCookie(settings.session_cookie),
                limits=self.limits,
                rules=Rules(
                    settings.denied_networks,
                    settings.denied_agents,
                    anonymous_agents=not settings.agents_must_be_named,
                    routes=configured.networks,
                ),
                credentials_for=frozenset(settings.credential_upstreams),
                token_seconds=settings.jwks_refresh_seconds,
            )
        )

    def collectors(self) -> list[Collector]:
        """Of the caches, the push link and the limits, for a Prometheus registry."""
        caches = [("session", self.sessions.stats), ("plan", self.plans.stats)]
        return [CacheCollector(caches, self.link, prefix="gateway"), LimitCollector(self.limits)]

    async def start(self) -> None:
        """Open the push link, in the background: the verdict works without it, with shorter lifetimes."""
        if self.link is not None:
            self.link.start()
        if self.settler is not None:
            await self.settler.start()
        self.secret_files.start()

    async def stop(self) -> None:
        """Close everything."""
        await self.secret_files.stop()
        if self.settler is not None:
            await self.settler.stop()
        if self.link is not None:
            await self.link.stop()
        if self.remote is not None:
            await self.remote.close()
        await self.client.aclose()


def _verifier(settings: GatewaySettings, client: httpx2.AsyncClient) -> TokenVerifier:
    secrets: Sequence[str] = [
        secret.get_secret_value()
        for secret in (settings.jwt_secret, settings.jwt_previous_secret)
        if secret is not None
    ]
    if settings.jwt_secrets_file is not None:
        secrets = read_secrets(settings.jwt_secrets_file)
    jwks = None
    if settings.jwks_url is not None:
        jwks = Jwks(
            settings.jwks_url,
            client,
            refresh=settings.jwks_refresh_seconds,
            unknown_for=settings.jwks_unknown_seconds,
            timeout=settings.identity_timeout_seconds,
        )
    accepted = TokenSettings(
        algorithms=settings.jwt_algorithms,
        secrets=secrets,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway_seconds,
        max_bytes=settings.jwt_max_bytes,
    )
    return TokenVerifier(accepted, jwks)


def _limits(settings: GatewaySettings, named: Sequence[LimitEntry], settler: Settler | None) -> Limits:
    meter = Meter if settler is None else settler.meter
    rates = {
        Plan.FREE: settings.partner_rate_free,
        Plan.SAAS: settings.partner_rate_saas,
        Plan.PAID: settings.partner_rate_paid,
    }
    seconds = settings.partner_burst_seconds
    addresses = Quota("address", settings.address_burst, settings.address_burst / settings.address_rate)
    partners = {
        plan: meter(Quota("partner", amount := max(1, int(rate * seconds)), amount / rate))
        for plan, rate in rates.items()
    }
    of_routes = {}
    for entry in named:
        quotas = {plan: entry.quota(plan) for plan in Plan}
        meters = {quota: meter(quota) for quota in set(quotas.values())}
        of_routes[entry.name] = RouteLimit(Per(entry.per), {plan: meters[quota] for plan, quota in quotas.items()})
    return Limits(meter(addresses), partners, of_routes, settler)


def _lifetimes(settings: GatewaySettings, fresh: float) -> Lifetimes:
    return Lifetimes(
        fresh=fresh,
        negative=settings.unknown_seconds,
        doubt=settings.doubt_seconds,
        remote=settings.remote_seconds,
        stale=settings.stale_seconds,
        load_timeout=settings.identity_timeout_seconds,
        max_loads=settings.max_lookups,
    )


def _signing_key(settings: GatewaySettings) -> str:
    if settings.identity_signing_key_file is not None:
        return read_secrets(settings.identity_signing_key_file)[0]
    key = settings.identity_signing_key
    return key.get_secret_value() if key is not None else ""
