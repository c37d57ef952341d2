"""Who is turned away at the door, whatever he asks for: addresses and programs that an installation does not want."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.verdict.decision import HeaderList
from gateway.verdict.forwarding import Network, TrustedProxies

REMEMBERED = 4096
LONGEST = 512
"""Bytes of a User-Agent that are looked at; a longer one is turned away where there are rules about it."""

FROM_HERE = "requests from this address are not served"
BY_THIS = "requests by this program are not served: see the terms of use"
ROUTE_FROM_HERE = "this may not be asked for from this address"


class Rules:
    """Rules of one gateway. `agents` are words of which none may be in a User-Agent, in any case; `anonymous_agents`
    says whether a request may have none; `routes` are the networks that alone may take a route.
    """

    def __init__(
        self,
        denied: Iterable[Network] = (),
        agents: Iterable[str] = (),
        *,
        anonymous_agents: bool = True,
        routes: Mapping[str, Iterable[Network]] | None = None,
    ) -> None:
        self._denied = TrustedProxies(denied)
        self._agents = tuple(agent.lower().encode() for agent in agents)
        self._nameless = anonymous_agents
        self._routes = {name: TrustedProxies(networks) for name, networks in (routes or {}).items() if networks}
        self._known: dict[bytes, bool] = {}
        self._about_agents = bool(self._agents) or not anonymous_agents
        self.any = bool(self._denied.any or self._about_agents or self._routes)

    def objection(self, address: str, route: str, headers: HeaderList) -> str | None:
        """Why the request is turned away, in words for its caller."""
        if self._denied.any and address in self._denied:
            return FROM_HERE
        allowed = self._routes.get(route)
        if allowed is not None and address not in allowed:
            return ROUTE_FROM_HERE
        if self._about_agents and not self._agent_passes(headers):
            return BY_THIS
        return None

    def _agent_passes(self, headers: HeaderList) -> bool:
        agents = [value for name, value in headers if name == b"user-agent"]
        agent = b" ".join(agents)
        if not agent:
            return self._nameless
        known = self._known.get(agent)
        if known is None:
            folded = agent.lower()
            known = len(agent) <= LONGEST and not any(word in folded for word in self._agents)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            if len(agent) <= LONGEST:
                self._known[agent] = known
        return known
