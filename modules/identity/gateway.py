"""Who may ask about sessions and plans: the gateway, which proves itself. Everybody else is refused."""

from __future__ import annotations

from coffee_core.domain.errors import ForbiddenError
from coffee_core.wire.message import Request
from coffee_core.wire.service_statement import verify_service
from modules.identity.settings import IdentitySettings

SERVICE = "gateway"
AUDIENCE = "identity"


class GatewayOnly:
    """Checks the service statement in `Authorization` (`coffee_core.wire.service_statement`)."""

    def __init__(self, settings: IdentitySettings) -> None:
        keys = (settings.signing_key, settings.signing_key_previous)
        self._keys = [key.get_secret_value() for key in keys if key is not None]

    def require(self, request: Request) -> None:
        """`ForbiddenError` unless the gateway itself asks; never 401 or 404, which would say that a session has ended.
        Without a key in the settings nobody passes."""
        scheme, _, statement = request.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or verify_service(statement, audience=AUDIENCE, keys=self._keys) != SERVICE:
            raise ForbiddenError("only the gateway itself may ask this")
