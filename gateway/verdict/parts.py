"""What the verdict is made of: put together in `gateway.build`, by hand in tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from coffee_core.cache.local import LocalCache
from coffee_core.cache.two_tier import TwoTierCache
from gateway.verdict.admittance import Rules
from gateway.verdict.cookies import SessionCookie
from gateway.verdict.cors import Cors
from gateway.verdict.exchange import TokenRecord
from gateway.verdict.forwarding import TrustedProxies
from gateway.verdict.identity_statement import StatementSigner
from gateway.verdict.limits import Limits
from gateway.verdict.plan import Grant
from gateway.verdict.routes import RouteTable
from gateway.verdict.session import Session
from gateway.verdict.token import TokenVerifier


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One of each, and two policies."""

    routes: RouteTable
    verifier: TokenVerifier
    sessions: TwoTierCache[Session]
    plans: TwoTierCache[Grant]
    tokens: LocalCache[TokenRecord]
    signer: StatementSigner
    cors: Cors
    proxies: TrustedProxies
    cookie: SessionCookie
    limits: Limits
    rules: Rules = field(default_factory=Rules)
    credentials_for: frozenset[str] = frozenset(("identity",))
    """Upstreams that see the caller's Authorization and session cookie; all others have no use for them."""
    token_seconds: float = 300.0
    """How long a verified token is remembered at most: a public key that was withdrawn counts no longer than that."""
