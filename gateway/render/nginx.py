"""nginx: it asks for the verdict by `auth_request`, or by Lua; refusals are said in the gateway's words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from math import ceil

from coffee_core.domain.errors import CoffeeError
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.verdict_stream import UPGRADE
from gateway.render.blanks import filled, lines, parts
from gateway.render.doors import ADDED, HIDDEN, SET_BY_VERDICT, Doors, dropped
from gateway.render.programs import Lua

UNDECIDED = "the gateway does not answer; try again"
OPENING = r"GET {verdict} HTTP/1.1\r\nHost: gateway\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
"""In the spelling of Lua."""
VARIABLES = {
    "x-bb-requestid": "coffee_requestid",
    "x-bb-partner-id": "coffee_partner",
    "x-bb-uid": "coffee_uid",
    "x-bb-plan-type": "coffee_plan",
}
"""Those that the access log has as well; others are named after their header."""
REFUSALS = (400, 401, 402, 403, 404, 405, 429, 431, 503)
"""Statuses of refusals; a variable cannot be one in nginx, so each has its line."""


def render(
    doors: Doors,
    bounds: DataPlaneSettings,
    *,
    drain: float,
    access_log: str = "access.log",
    workers: int | None = None,
    lua: Lua | None = None,
) -> str:
    """The whole configuration. It names no folder: nginx is told one by `-p`. `workers`: one for each processor, if not
    given. With `lua` nginx asks about many requests over one connection, else by `auth_request`."""
    asks = _by_auth_request(doors) if lua is None else _by_lua(doors)
    return filled(
        "nginx.conf",
        way="auth_request" if lua is None else "Lua",
        modules=lines(*[f"load_module {module};" for module in (lua.modules if lua is not None else ())]),
        gateway=f"unix:{doors.socket}" if doors.socket else doors.gateway,
        listen=doors.listen,
        verdict=doors.verdict,
        access_log=access_log,
        workers="auto" if workers is None else str(workers),
        connect=f"{bounds.connect_timeout:g}",
        connections=str(bounds.connections),
        idle=f"{bounds.idle_timeout:g}",
        drain=str(ceil(drain)),
        own=lines(*[f"location {where} {{ error_page 418 = @coffee_gateway; return 418; }}" for where in _own(doors)]),
        upstreams=lines(*[_upstream(name, targets, bounds.connections) for name, targets in doors.upstreams.items()]),
        hidden=lines(*[f"proxy_hide_header {name};" for name in HIDDEN]),
        added=asks["added"],
        unanswered=asks["unanswered"],
        nothing_here=_problem(404, "nothing is here"),
        late=_problem(504, "the service took too long", "$coffee_requestid"),
        broken=_problem(502, "the service did not answer", "$coffee_requestid"),
        asking=asks["asking"],
        question=asks["question"],
        ask=asks["ask"],
        head=asks["head"],
        refused=asks.get("refused", ""),
    )


def _by_auth_request(doors: Doors) -> Mapping[str, str]:
    added = lines(
        *[f"add_header {name} ${_variable(name)} always;" for name in ADDED], "add_header Vary $coffee_vary always;"
    )
    said = parts(
        "nginx-auth-request.conf",
        verdict=doors.verdict,
        remembered=lines(
            *[f"auth_request_set ${_variable(name)} $upstream_http_{_plain(name)};" for name in _copied()]
        ),
        set=lines(*[f"proxy_set_header {name} ${_variable(name)};" for name in SET_BY_VERDICT]),
        removed=lines(*[f'proxy_set_header {name} "";' for name in [*dropped(), "forwarded"]]),
        added=added,
        refusals=lines(
            *[f'if ($coffee_status = "{status}") {{ return {status} $coffee_problem; }}' for status in REFUSALS]
        ),
        undecided=_problem(503, UNDECIDED, "$coffee_requestid"),
    )
    return {**said, "added": added, "unanswered": added}


def _by_lua(doors: Doors) -> Mapping[str, str]:
    found = (f"unix:{doors.socket}", "nil") if doors.socket else address_of(doors.gateway)
    if found is None:
        raise CoffeeError(
            f"--gateway: {doors.gateway} has a name, and by Lua nginx finds it by its address alone: say that one, or "
            "leave out --lua"
        )
    address, port = found
    verdicts = filled(
        "verdicts.lua",
        address=address,
        port=port,
        opening=OPENING.format(verdict=doors.verdict, protocol=UPGRADE.decode()),
        undecided=_problem(503, UNDECIDED),
        streams=str(doors.processes),
    )
    said = ("coffee_lines", "coffee_to", "coffee_head", *VARIABLES.values())
    return parts(
        "nginx-lua.conf",
        verdicts=verdicts.rstrip("\n"),
        variables=lines(*[f'set ${name} "";' for name in said]),
    )


def address_of(gateway: str) -> tuple[str, str] | None:
    """Address and port of `host:port`, as Lua finds them; `None` for a name, as it has no name server."""
    host, _, port = gateway.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return None
    return host, port


def _upstream(name: str, targets: Sequence[Target], connections: int) -> str:
    """`connections` are kept for each target: one that is not is opened anew for a request, at twice its price."""
    servers = [f"server {_address(target)} weight={target.weight} max_fails=3 fail_timeout=5s;" for target in targets]
    choice = ["random two least_conn;"] if len(targets) > 1 else []
    kept = [f"keepalive {connections * len(targets)};", "keepalive_requests 100000;"]
    return f"upstream {name} {{ {' '.join([*choice, *servers, *kept])} }}"


def _address(target: Target) -> str:
    return f"unix:{target.unix_path}" if target.unix_path else target.authority.decode()


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _variable(name: str) -> str:
    return VARIABLES.get(name) or f"coffee_{_plain(name)}"


def _copied() -> list[str]:
    """Headers of the verdict that are remembered."""
    return [name for name in dict.fromkeys((*SET_BY_VERDICT, *ADDED)) if name != "x-bb-requestid"]


def _own(doors: Doors) -> list[str]:
    """Each path, and what is under it. Expressions would be tried for every request."""
    return [where for path in doors.own_paths() for where in (f"= {path}", f"^~ {path}/")]


def _problem(status: int, detail: str, request_id: str = "") -> str:
    return json.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "requestId": request_id,
            "errors": [],
            "statusMessage": detail,
        }
    )
