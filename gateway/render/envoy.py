"""Envoy: a bootstrap with the HTTP service of the `ext_authz` filter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

from gateway.data_plane.targets import Target
from gateway.render.blanks import filled, lines
from gateway.render.doors import ADDED, HIDDEN, SET_BY_VERDICT, Doors, dropped

TO_VERDICT = (
    "authorization", "cookie", "origin", "sec-fetch-site", "x-csrf-token", "upgrade", "access-control-request-method",
    "accept-language", "x-bb-requestid", "x-bb-deviceid", "x-bb-clientid", "x-bb-clienttype", "x-bb-version",
    "x-forwarded-for", "x-forwarded-proto", "traceparent", "tracestate",
)  # fmt: skip
"""What a verdict looks at; Envoy sends no other header of the caller along."""
TYPES = "type.googleapis.com/envoy.extensions"
REFUSAL = ("www-authenticate", "retry-after", "allow", "content-type", "vary", "cache-control")


def render(doors: Doors) -> str:
    """The whole bootstrap. The upstream is chosen by the header `x-bb-upstream` of the verdict."""
    host, _, port = doors.listen.rpartition(":")
    return filled(
        "envoy.yaml",
        gateway=doors.gateway,
        verdict=doors.verdict,
        host=host.strip("[]"),
        port=port,
        own=lines(*[line for path in doors.own_paths() for line in _own(path)]),
        aliases=lines(*[line for name, real in doors.aliases.items() for line in _alias(name, real)]),
        asked=lines(*[f"- {{exact: {name}}}" for name in TO_VERDICT]),
        copied=lines(*[f"- {{exact: {name}}}" for name in (*SET_BY_VERDICT, "x-bb-upstream")]),
        refused=lines(*[f"- {{exact: {name}}}" for name in (*REFUSAL, *ADDED)]),
        added=lines(*[f"- {{exact: {name}}}" for name in (*ADDED, "vary")]),
        removed=lines(*[f"- remove: {name}" for name in _removed()]),
        unanswered=lines(*[line for status in (502, 503, 504) for line in _unanswered(status)]),
        clusters=lines(*[line for name, targets in doors.upstreams.items() for line in _cluster(name, targets)]),
        gateway_address=_endpoint(*doors.gateway.rsplit(":", 1)),
    )


def _removed() -> list[str]:
    """What a caller may not say: the identity, the upstream, and what never reaches one. Forwarding is Envoy's own."""
    own = ("x-bb-partner-id", "x-bb-account-id", "x-bb-uid", "x-bb-plan-type", "x-bb-identity", "x-bb-upstream")
    return [*own, *(name for name in dropped() if name != "via"), "forwarded", "x-bb-target"]


def _unanswered(status: int) -> list[str]:
    """Envoy takes a 5xx of the gateway for its failure and keeps its body to itself: the problem is said here."""
    detail = "the service does not answer at the moment; try again"
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": "%RESPONSE_CODE%",
        "detail": detail,
        "requestId": "%REQ(x-bb-requestid)%",
        "statusMessage": detail,
    }
    said = json.dumps(problem)
    code = f"{{default_value: {status}, runtime_key: coffee.{status}}}"
    return [
        f"- filter: {{status_code_filter: {{comparison: {{op: EQ, value: {code}}}}}}}",
        f"  body_format_override: {{content_type: application/problem+json, json_format: {said}}}",
        '  headers_to_add: [{header: {key: retry-after, value: "1"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]',
    ]


def _own(path: str) -> list[str]:
    off = "typed_per_filter_config: {envoy.filters.http.ext_authz: *unasked}"
    return [f"- match: {{path_separated_prefix: {path}}}", "  route: *own", f"  {off}"]


def _alias(name: str, real: str) -> list[str]:
    return [
        f"- match: {{path_separated_prefix: {name}}}",
        f"  route: {{cluster_header: x-bb-upstream, prefix_rewrite: {real}, timeout: 0s}}",
    ]


def _cluster(name: str, targets: Sequence[Target]) -> list[str]:
    endpoints = [
        f"- {{endpoint: {{address: {_address(target)}}}, load_balancing_weight: {target.weight}}}" for target in targets
    ]
    return [
        f"- name: {name}",
        "  connect_timeout: 2s",
        "  type: STRICT_DNS" if not any(target.unix_path for target in targets) else "  type: STATIC",
        "  lb_policy: LEAST_REQUEST",
        "  load_assignment:",
        f"    cluster_name: {name}",
        "    endpoints:",
        "    - lb_endpoints:",
        *(f"      {endpoint}" for endpoint in endpoints),
        "  typed_extension_protocol_options:",
        "    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:",
        f'      "@type": {TYPES}.upstreams.http.v3.HttpProtocolOptions',
        "      explicit_http_config: {http_protocol_options: {}}",
        "      http_filters:",
        "      # What an upstream may not say is gone before the gateway's own lines are added.",
        "      - name: coffee.answers",
        "        typed_config:",
        f'          "@type": {TYPES}.filters.http.header_mutation.v3.HeaderMutation',
        "          mutations:",
        "            response_mutations:",
        *(f"            - remove: {each}" for each in HIDDEN),
        "      - name: envoy.filters.http.upstream_codec",
        "        typed_config:",
        f'          "@type": {TYPES}.filters.http.upstream_codec.v3.UpstreamCodec',
    ]


def _address(target: Target) -> str:
    if target.unix_path:
        return json.dumps({"pipe": {"path": target.unix_path}})
    return _endpoint(target.host, str(target.port))


def _endpoint(host: str, port: str) -> str:
    return f"{{socket_address: {{address: {host.strip('[]')}, port_value: {port}}}}}"
