"""Traefik (3.x): a dynamic configuration for its file provider, with a `forwardAuth` middleware."""

from __future__ import annotations

from gateway.render.blanks import filled, lines
from gateway.render.doors import HIDDEN, SET_BY_VERDICT, Doors, dropped, upstream_rules
from gateway.verdict.cors import EXPOSED

SPELLINGS = tuple(name.replace("-", "_") for name in SET_BY_VERDICT if name.startswith("x-bb-"))
"""What CGI-like servers would take for one of the gateway's."""


def render(doors: Doors) -> str:
    """Traefik cannot rewrite to what a verdict says: it chooses the upstream by the same table, and the gateway
    refuses paths that are not canonical."""
    rules = list(upstream_rules(doors))
    return filled(
        "traefik.yaml",
        gateway=doors.gateway,
        verdict=doors.verdict,
        own=" || ".join(f"Path(`{path}`) || PathPrefix(`{path}/`)" for path in doors.own_paths()),
        copied=lines(*[f"- {name}" for name in SET_BY_VERDICT]),
        removed=lines(*[f'{name}: ""' for name in [*dropped(), "forwarded", *SPELLINGS]]),
        hidden=lines(*[f'{name}: ""' for name in HIDDEN if name != "x-bb-requestid"]),
        cors=lines(*_cors(doors)),
        routers=lines(
            *[line for number, (rule, name) in enumerate(rules) for line in _router(number, rule, name, len(rules))]
        ),
        aliases=lines(*[line for name, real in doors.aliases.items() for line in _alias(name, real)]),
        alias_middlewares=lines(*[line for name, real in doors.aliases.items() for line in _rewrite(name, real)]),
        services=lines(*[line for name in doors.upstreams for line in _service(doors, name)]),
    )


def _router(number: int, rule: str, upstream: str, count: int) -> list[str]:
    return [
        f"coffee-route-{number}:",
        f'  rule: "PathRegexp(`{rule}`)"'.replace("\\", "\\\\"),
        f"  priority: {100 + count - number}",
        "  entryPoints: [coffee]",
        "  middlewares: [coffee-cors, coffee-clean, coffee-verdict, coffee-hide]",
        f"  service: coffee-{upstream}",
    ]


def _alias(name: str, real: str) -> list[str]:
    label = name.strip("/")
    upstream = "identity" if real.startswith("/identity-service/") else "saas"
    return [
        f"coffee-alias-{label}:",
        f'  rule: "Path(`{name}`) || PathPrefix(`{name}/`)"',
        "  priority: 900",
        "  entryPoints: [coffee]",
        f"  middlewares: [coffee-cors, coffee-clean, coffee-verdict, coffee-hide, coffee-alias-{label}]",
        f"  service: coffee-{upstream}",
    ]


def _rewrite(name: str, real: str) -> list[str]:
    return [f"coffee-alias-{name.strip('/')}:", f'  replacePathRegex: {{regex: "^{name}", replacement: "{real}"}}']


def _service(doors: Doors, name: str) -> list[str]:
    servers = [
        f'- {{url: "http://{target.authority.decode()}", weight: {target.weight}}}' for target in doors.upstreams[name]
    ]
    return [
        f"coffee-{name}:",
        "  loadBalancer:",
        "    passHostHeader: false",
        '    responseForwarding: {flushInterval: "-1ms"}',
        "    servers:",
        *(f"      {server}" for server in servers),
    ]


def _cors(doors: Doors) -> list[str]:
    """Traefik does not copy headers of a verdict to the caller's answer: it says CORS itself, from the same origins."""
    exact = [origin for origin in doors.cors_origins if "*" not in origin]
    patterns = ["^" + o.replace(".", "\\\\.").replace("*", "[a-z0-9-]+") + "$" for o in doors.cors_origins if "*" in o]
    said = ["addVaryHeader: true"]
    if doors.cors_origins:
        said += ["accessControlAllowCredentials: true", f"accessControlExposeHeaders: [{EXPOSED.decode()}]"]
    if exact:
        said += [f"accessControlAllowOriginList: [{', '.join(map(_quoted, exact))}]"]
    if patterns:
        said += [f"accessControlAllowOriginListRegex: [{', '.join(map(_quoted, patterns))}]"]
    return said


def _quoted(text: str) -> str:
    return f'"{text}"'
