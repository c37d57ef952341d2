"""`/auth/backchannel-logout`: where the sign-in provider says who has logged out there."""

from __future__ import annotations

from urllib.parse import parse_qs

from coffee_core.domain.context import current
from coffee_core.domain.errors import InputError, MediaTypeError, NotFoundError
from coffee_core.rest.route import Route
from coffee_core.wire.message import Request, Response
from modules.identity.answers import BODY_BYTES_MAX, NO_STORE
from modules.identity.backchannel import BackchannelLogout
from modules.identity.entry import LogoutTokenForm
from modules.identity.settings import IdentitySettings

FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 16


class BackchannelApi:
    """Public: the provider has no session, and its token says that it is the provider."""

    def __init__(self, logout: BackchannelLogout, settings: IdentitySettings) -> None:
        self._logout = logout
        self._set_up = settings.google_client_id is not None

    def routes(self) -> list[Route]:
        """The one."""
        return [
            Route(
                method="POST", path="/api/auth/backchannel-logout", handler=self.end, name="auth_backchannel_logout",
                summary="End the sessions that the sign-in provider's `logout_token` names", body=LogoutTokenForm,
                body_media=(FORM,), answer_media="", errors=(404, 413, 415, 429), public=True, tags=("auth",),
            ),
        ]  # fmt: skip

    async def end(self, request: Request) -> Response:
        """POST. 200, as the specification has it, although there is nothing to say."""
        if not self._set_up:
            raise NotFoundError("back-channel logout is not set up here")
        await self._logout.end(await _token(request), current().client_address)
        return Response(200, content_type=None, headers=[NO_STORE])


async def _token(request: Request) -> str:
    """The form's `logout_token`; what else it holds is passed over (section 2.5)."""
    if request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != FORM.encode():
        raise MediaTypeError(f"send {FORM}")
    try:
        form = parse_qs((await request.body.read(BODY_BYTES_MAX)).decode("ascii"), max_num_fields=FIELDS_MAX)
    except ValueError:
        form = {}
    given = form.get("logout_token", ())
    if len(given) != 1:
        raise InputError("send one `logout_token`")
    return given[0]
