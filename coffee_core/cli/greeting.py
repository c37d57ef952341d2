"""What `coffee up` prints when everything answers: where it is, who is there, and lines to paste."""

from collections.abc import Sequence
from pathlib import Path

from coffee_core.cli.parts import Part, Ports
from coffee_core.embedded.servers import ServerUrls

DEMO_PASSWORD = "coffee-demo"  # noqa: S105 - of demo users alone, and printed
DEMO_USERS = {"FREE": "free@example.com", "SAAS": "saas@example.com", "PAID": "paid@example.com"}
"""The demo partners, in the order of their ids: 1, 2, 3."""
DEMO_OPERATOR = "operator@example.com"
"""Of the platform's own partner, 0: may do what partners may not, an import for example."""

TOKEN_OF = 'python3 -c \'import json, sys; print(json.load(sys.stdin)["data"][0]["accessToken"])\''  # noqa: S105 - a command
READABLE = "python3 -m json.tool --no-ensure-ascii"


def greeting(there: Sequence[Part], ports: Ports, urls: ServerUrls, folder: Path, seconds: float, *, demo: bool) -> str:
    """The text; what is to be pasted goes through the gateway, so it is there if the gateway is."""
    gateway = any(part.name == "gateway" for part in there)
    lines = ["", f"Coffee is up after {seconds:.1f} s. Data, logs and secrets are in {folder}.", ""]
    lines += [f"  {part.name:10}{part.base_url}" for part in there if part.base_url]
    if gateway:
        lines += [f"  {'docs':10}http://127.0.0.1:{ports.door}/docs"]
        lines += [f"  {'operators':10}http://127.0.0.1:{ports.door}/_gateway/"]
        lines += [f"  {'metrics':10}http://127.0.0.1:{ports.metrics}/metrics"]
    if urls.database_url:
        lines += [f"  {'database':10}{urls.database_url}"]
    if demo:
        lines += ["", f"Partners (the password of each is {DEMO_PASSWORD}):"]
        lines += [f"  {number} {plan:6}{email}" for number, (plan, email) in enumerate(DEMO_USERS.items(), 1)]
        lines += [f"  0 {'':6}{DEMO_OPERATOR}, the platform's operator"]
    if demo and gateway:
        lines += ["", "Try:", *_curl_lines(f"http://127.0.0.1:{ports.door}")]
    lines += ["", "Ctrl-C stops everything; the data stays.", ""]
    return "\n".join(lines)


def _curl_lines(gateway: str) -> list[str]:
    """Sign in, look for channels, make a collection and find it again. Answers are written to be read."""
    json_type = "-H 'content-type: application/json'"
    bearer = '-H "authorization: Bearer $TOKEN"'
    who = f'{{"email": "{DEMO_USERS["PAID"]}", "password": "{DEMO_PASSWORD}"}}'
    conditions = [
        '{"filterType": "EQ", "field": "country", "value": "India"}',
        '{"filterType": "GT", "field": "followers", "value": "10000000"}',
    ]
    search = f'{{"filters": [{", ".join(conditions)}]}}'
    query = "sortBy=followers&sortDir=DESC&size=3&fields=title,followers,email"
    collections = f"{gateway}/profile-collection-service/api/collection"
    return [
        f"  TOKEN=$(curl -s {gateway}/auth/login {json_type} -d '{who}' | {TOKEN_OF})",
        f"  curl -s '{gateway}/social-profile-service/api/youtube/search?{query}' {json_type} \\",
        f"    {bearer} -d '{search}' | {READABLE}",
        f'  curl -s {collections} {json_type} {bearer} -d \'{{"name": "Large channels"}}\' | {READABLE}',
        f"  curl -s '{collections}/recent?size=1' {bearer} | {READABLE}",
    ]
