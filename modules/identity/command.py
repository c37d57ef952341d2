"""`coffee operator`: makes the first operator, who can make everybody else. There is no default credential."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from coffee_core.cli.composition import compose
from coffee_core.domain.context import OPERATOR_PARTNER
from coffee_core.domain.search import CountMode, SearchQuery, path
from coffee_core.rest.container import Container
from modules.identity.email import normalise
from modules.identity.entity import AccountEntity, AccountStatus
from modules.identity.module import IDENTITY
from modules.identity.parts import Parts, parts_of
from modules.identity.passwords import check
from modules.identity.system import own_work

ACCOUNT = "Operators"


def operator(
    email: Annotated[str, typer.Argument(help="The operator's e-mail address.")],
    name: Annotated[str, typer.Option(help="The operator's name.")] = "Operator",
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
    ] = False,
) -> None:
    """Make an operator: a user of the platform's own partner."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    asyncio.run(_run(email, name, password))
    typer.echo(f"{normalise(email)} is an operator")


async def _run(email: str, name: str, password: str) -> None:
    async with compose([IDENTITY]).opened() as platform:
        await make_operator(platform.container, email, name, password)


async def make_operator(container: Container, email: str, name: str, password: str) -> None:
    """A new user of partner 0; an address that is taken is a `ConflictError`."""
    address = normalise(email)
    parts = parts_of(container)
    try:
        password_hash = await parts.hasher.hash(check(password, address, parts.settings))
        async with own_work() as work:
            work.transactional = True
            values: dict[str, object] = {
                "partner_id": OPERATOR_PARTNER,
                "account_id": await _account(parts),
                "email": address,
                "name": name,
                "password_hash": password_hash,
            }
            await parts.users.across_partners().insert(values)
    finally:
        await parts.close()


async def _account(parts: Parts) -> int:
    """The operators' account: the first of partner 0, or a new one."""
    accounts = parts.accounts.across_partners()
    of_platform = path(AccountEntity.partner_id).eq(OPERATOR_PARTNER)
    found = accounts.entities(await accounts.search(SearchQuery(where=of_platform, size=1, count=CountMode.NONE)))
    if found:
        return found[0].id
    values: dict[str, object] = {"partner_id": OPERATOR_PARTNER, "name": ACCOUNT, "status": AccountStatus.ACTIVE}
    return accounts.entities(await accounts.insert(values))[0].id
