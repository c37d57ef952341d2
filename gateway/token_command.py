"""`coffee token`: look into an access token, or make one for a session that exists."""

from __future__ import annotations

import json
import time
from typing import Annotated

import jwt
import typer

from coffee_core.domain.errors import CoffeeError
from gateway.settings import GatewaySettings

app = typer.Typer(help="Access tokens, for looking into problems: needs COFFEE_JWT_SECRET.")


def _secret() -> str:
    secret = GatewaySettings().jwt_secret
    if secret is None:
        raise CoffeeError("COFFEE_JWT_SECRET is not set: it is the one that gateway and identity share")
    return secret.get_secret_value()


@app.command()
def read(token: Annotated[str, typer.Argument(help="The token, without `Bearer`.")]) -> None:
    """Print the claims of a token, and whether its signature and time are right; its session is not looked at."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise CoffeeError(f"this is no token: {error}") from None
    try:
        jwt.decode(token, _secret(), algorithms=["HS256"], options={"verify_aud": False})
        verdict = "signature and time are right"
    except jwt.InvalidTokenError as error:
        verdict = f"the gateway refuses it: {error}"
    typer.echo(json.dumps(claims, indent=2))
    typer.echo(verdict)


@app.command()
def make(
    sid: Annotated[str, typer.Option(help="An existing session's id: a token alone opens nothing.")],
    uid: Annotated[str, typer.Option(help="User id.")],
    account: Annotated[str, typer.Option(help="Account id.")],
    partner: Annotated[str, typer.Option(help="Partner id.")],
    minutes: Annotated[int, typer.Option(help="Lifetime.", min=1, max=60)] = 15,
) -> None:
    """Make an access token for a session, for example to repeat a user's request."""
    now = int(time.time())
    claims = {
        "uid": uid,
        "sid": sid,
        "userAccountId": account,
        "partnerId": partner,
        "iat": now,
        "exp": now + 60 * minutes,
    }
    typer.echo(jwt.encode(claims, _secret(), algorithm="HS256"))
