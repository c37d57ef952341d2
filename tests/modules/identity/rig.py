"""Identity as a process has it, and callers of every kind."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from typing import Any, cast

import jwt

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import FieldError, NotFoundError, RetryableError
from coffee_core.domain.event import Delivery, Event
from coffee_core.domain.plan import Plan
from coffee_core.http.application import Application
from coffee_core.http.problems import KINDS
from coffee_core.http.settings import HttpSettings
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.persistence.migrations.runner import History, upgrade
from coffee_core.rest.container import Container, Mounted
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire import identity as wire
from coffee_core.wire.message import BufferedBody, Request, Response
from coffee_core.wire.service_statement import sign_service
from modules.identity.auth import Auth
from modules.identity.cached import CachedFacts
from modules.identity.google import Google
from modules.identity.module import IDENTITY
from modules.identity.passwords import PasswordHasher
from modules.identity.settings import IdentitySettings

JWT_SECRET = "the tests' own key, forty bytes or so long"
SIGNING_KEY = "another key of the tests, as long as that"
PASSWORD = "a horse, a battery"
OPERATOR = RequestContext(request_id="operator", partner_id=0, user_id=1, account_id=1, plan=Plan.PAID)

_numbers = itertools.count(1)


def settings_for(redis_url: str | None, **changed: Any) -> IdentitySettings:
    """Cheap hashes; all else as it is."""
    given: dict[str, Any] = {
        "jwt_secret": JWT_SECRET,
        "signing_key": SIGNING_KEY,
        "redis_url": redis_url,
        "hash_memory_kib": 64,
        "hash_passes": 1,
        "hash_lanes": 1,
        **changed,
    }
    return IdentitySettings(**given)


async def migrate(database_url: str) -> None:
    """The module's tables, as `coffee migrate` makes them."""
    await upgrade(database_url, [History(IDENTITY.name, "modules.identity.migrations")], print)


class NoEvents:
    """Identity raises none."""

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        raise AssertionError(event)


@dataclass(frozen=True)
class Person:
    """A user, and a context in which he calls."""

    id: int
    account_id: int
    partner_id: int
    email: str
    address: str

    @property
    def context(self) -> RequestContext:
        return RequestContext(
            request_id="r",
            partner_id=self.partner_id,
            account_id=self.account_id,
            user_id=self.id,
            client_address=self.address,
        )


class Service:
    """One process of identity: the whole application, asked without a server between."""

    def __init__(self, store: PostgresStore, settings: IdentitySettings) -> None:
        self.container = Container(store=store, events=NoEvents(), rest=RestSettings(cursor_key="a key of the tests"))
        self.container.configure(settings)
        self.mounted: Mounted = IDENTITY.mount(self.container)
        self._routes = {route.name: route for route in self.mounted.routes}
        self.application = Application(
            {IDENTITY.service: self.mounted.routes},
            settings=HttpSettings(access_log="off", identity_signing_key=SIGNING_KEY),
            observability=ObservabilitySettings(),
        )

    @property
    def auth(self) -> Auth:
        """What is behind the login route."""
        return cast("Auth", self._routes["auth_login"].handler.__self__._auth)  # type: ignore[attr-defined]

    @property
    def google(self) -> Google:
        return cast("Google", self._routes["auth_google"].handler.__self__._google)  # type: ignore[attr-defined]

    @property
    def hasher(self) -> PasswordHasher:
        return self.auth._hasher

    @property
    def cached(self) -> CachedFacts:
        return self.auth._sessions._cached

    async def close(self) -> None:
        assert self.mounted.close is not None
        await self.mounted.close()

    async def answer(
        self,
        name: str,
        body: object = None,
        *,
        by: RequestContext | None = None,
        form: str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        address: str = "",
        **path: object,
    ) -> Response:
        """What the route answers; a refusal is raised."""
        route = self._routes[name]
        caller = by or RequestContext(request_id="r")
        sent = {key.encode(): value.encode() for key, value in (headers or {}).items()}
        if body is not None:
            sent[b"content-type"] = b"application/json"
        sent.update(identity_headers(caller))
        target = "/identity-service" + route.path.format(**path)
        data = b"" if body is None else json.dumps(body).encode()
        if form is not None:
            sent.setdefault(b"content-type", b"application/x-www-form-urlencoded")
            data = form.encode()
        client = address or caller.client_address
        asked = Request(route.method, target, query.encode(), sent, BufferedBody(data), client=client)
        response = await self.application.handler(asked)
        if response.status >= 400:
            raise refusal(response)
        return response

    async def data(self, name: str, body: object = None, **rest: Any) -> Any:
        """The envelope's `data`."""
        return json.loads((await self.answer(name, body, **rest)).body)["data"]

    async def partner(self) -> int:
        (made,) = await self.data("partners_create", {"name": f"Partner {next(_numbers)}"}, by=OPERATOR)
        return int(made["id"])

    async def account(self, partner_id: int) -> int:
        body = {"name": "Main", "status": "ACTIVE"}
        (made,) = await self.data("account_create", body, by=OPERATOR, id=partner_id)
        return int(made["id"])

    async def person(self, account_id: int | None = None, partner_id: int | None = None) -> Person:
        """A new user, by default of a new account of a new partner."""
        if account_id is None:
            partner_id = await self.partner() if partner_id is None else partner_id
            account_id = await self.account(partner_id)
        number = next(_numbers)
        body = {"accountId": account_id, "email": f"p{number}@example.com", "name": "Ada", "password": PASSWORD}
        (made,) = await self.data("users_create", body, by=OPERATOR)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return Person(made["id"], account_id, made["partnerId"], made["email"], address)

    async def login(self, person: Person, password: str = PASSWORD, **rest: Any) -> dict[str, Any]:
        """The tokens, with the session's id."""
        body = {"email": person.email, "password": password}
        (tokens,) = await self.data("auth_login", body, address=person.address, **rest)
        return {**tokens, "sid": claims_of(tokens["accessToken"])["sid"]}

    async def session(self, sid: str) -> Any:
        """What the gateway is told of it."""
        (found,) = await self.data("auth_verify", query=f"sid={sid}", headers=gateway_headers())
        return found

    async def session_or_none(self, sid: str) -> Any:
        try:
            return await self.session(sid)
        except NotFoundError:
            return None


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, JWT_SECRET, algorithms=["HS256"])
    return found


def gateway_headers(**changed: Any) -> dict[str, str]:
    """As the gateway asks; a change spoils one thing about it."""
    asked = {
        "name": "gateway",
        "audience": "identity",
        "key": SIGNING_KEY,
        "now": time.time(),
        "lifetime": 60,
        **changed,
    }
    return {"authorization": f"Bearer {sign_service(asked.pop('name', 'gateway'), **asked)}"}


def identity_headers(caller: RequestContext) -> dict[bytes, bytes]:
    """What the gateway says of a caller, signed."""
    if caller.partner_id is None:
        return {}
    ids = [str(id) for id in (caller.partner_id, caller.account_id, caller.user_id)]
    said = wire.Caller(*ids, caller.plan.name)
    statement = wire.sign(said, audience="saas", key=SIGNING_KEY.encode(), now=time.time(), lifetime=60)
    headers = dict(
        zip((wire.PARTNER, wire.ACCOUNT, wire.USER, wire.PLAN), (text.encode() for text in said), strict=True)
    )
    return {**headers, wire.IDENTITY: statement.encode()}


def refusal(response: Response) -> Exception:
    """The error behind a problem."""
    problem = json.loads(response.body)
    kind = next((kind for kind, row in KINDS.items() if row.status == response.status), None)
    if kind is None:
        return AssertionError(problem)
    if issubclass(kind, RetryableError):
        return kind(problem["detail"], retry_after=float(dict(response.headers)[b"retry-after"]))
    fields = [FieldError(each["pointer"], each["detail"]) for each in problem["errors"]]
    return kind(problem["detail"], errors=fields)


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['accessToken']}"}
