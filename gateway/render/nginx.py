"""nginx: `auth_request` for the verdict; refusals are said in the gateway's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from math import ceil

from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.render.blanks import filled, lines
from gateway.render.doors import ADDED, HIDDEN, SET_BY_VERDICT, Doors, dropped

REFUSALS = (400, 401, 402, 403, 404, 405, 429, 431, 503)
"""Statuses of refusals; a variable cannot be one in nginx, so each has its line."""


def render(
    doors: Doors, bounds: DataPlaneSettings, *, drain: float, access_log: str = "access.log", workers: int | None = None
) -> str:
    """The whole configuration. It names no folder: nginx is told one by `-p`. `workers`: one for each processor, if not
    given."""
    return filled(
        "nginx.conf",
        gateway=f"unix:{doors.socket}" if doors.socket else doors.gateway,
        listen=doors.listen,
        verdict=doors.verdict,
        access_log=access_log,
        workers="auto" if workers is None else str(workers),
        connect=f"{bounds.connect_timeout:g}",
        idle=f"{bounds.idle_timeout:g}",
        drain=str(ceil(drain)),
        own=lines(*[f"location {where} {{ error_page 418 = @coffee_gateway; return 418; }}" for where in _own(doors)]),
        upstreams=lines(*[_upstream(name, targets) for name, targets in doors.upstreams.items()]),
        remembered=lines(
            *[f"auth_request_set ${_variable(name)} $upstream_http_{_plain(name)};" for name in _copied()]
        ),
        set=lines(*[f"proxy_set_header {name} ${_variable(name)};" for name in SET_BY_VERDICT]),
        removed=lines(*[f'proxy_set_header {name} "";' for name in [*dropped(), "forwarded"]]),
        hidden=lines(*[f"proxy_hide_header {name};" for name in HIDDEN]),
        added=lines(*[f"add_header {name} ${_variable(name)} always;" for name in ADDED]),
        refusals=lines(
            *[f'if ($coffee_status = "{status}") {{ return {status} $coffee_problem; }}' for status in REFUSALS]
        ),
        nothing_here=_problem(404, "nothing is here"),
        undecided=_problem(503, "the gateway does not answer; try again", "$coffee_requestid"),
        late=_problem(504, "the service took too long", "$coffee_requestid"),
        broken=_problem(502, "the service did not answer", "$coffee_requestid"),
    )


def _upstream(name: str, targets: Sequence[Target]) -> str:
    servers = [f"server {_address(target)} weight={target.weight} max_fails=3 fail_timeout=5s;" for target in targets]
    choice = ["random two least_conn;"] if len(targets) > 1 else []
    return f"upstream {name} {{ {' '.join([*choice, *servers, 'keepalive 64;', 'keepalive_requests 100000;'])} }}"


def _address(target: Target) -> str:
    return f"unix:{target.unix_path}" if target.unix_path else target.authority.decode()


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _variable(name: str) -> str:
    return "coffee_requestid" if name == "x-bb-requestid" else f"coffee_{_plain(name)}"


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
