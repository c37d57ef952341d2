"""Caddy: the long form of `forward_auth`, so that it sends on exactly what was decided about."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.data_plane.targets import Target
from gateway.render.blanks import filled, lines
from gateway.render.doors import ADDED, HIDDEN, SET_BY_VERDICT, Doors, dropped

SPELLINGS = ("*bb-*", "*bb_*", "*_*")
"""Headers that some server might read as one of the gateway's, and those with an underscore."""


def render(doors: Doors) -> str:
    """The whole Caddyfile."""
    host, _, port = doors.listen.rpartition(":")
    return filled(
        "Caddyfile",
        gateway=doors.gateway,
        verdict=doors.verdict,
        host=host.strip("[]"),
        port=port,
        own=" ".join(part for path in doors.own_paths() for part in (path, f"{path}/*")),
        removed=lines(*(f"request_header -{name}" for name in (*SPELLINGS, *dropped(), "Authorization", "Cookie"))),
        set=lines(*(line for name in SET_BY_VERDICT for line in _if_said(name, "request_header"))),
        added=lines(*(line for name in ADDED for line in _if_said(name, "header"))),
        upstreams=lines(*(_upstream(name, targets) for name, targets in doors.upstreams.items())),
    )


def _upstream(name: str, targets: Sequence[Target]) -> str:
    weights = " ".join(str(target.weight) for target in targets)
    options = [f"lb_policy weighted_round_robin {weights}"] if len(targets) > 1 else []
    options += [*(f"header_down -{_title(each)}" for each in HIDDEN), "flush_interval -1"]
    to = " ".join(f"unix/{target.unix_path}" if target.unix_path else target.authority.decode() for target in targets)
    matcher = f"@{name} vars {{vars.coffee_upstream}} {name}"
    return lines(matcher, f"reverse_proxy @{name} {to} {{", *(f"\t{option}" for option in options), "}")


def _if_said(name: str, directive: str) -> list[str]:
    """A header that the verdict does not have is left out, not sent empty."""
    said = f"{{http.reverse_proxy.header.{_title(name)}}}"
    matcher = f"@{directive}-{name}"
    return [f'{matcher} expression `{said} != null && {said} != ""`', f"{directive} {matcher} {_title(name)} {said}"]


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
