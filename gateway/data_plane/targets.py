"""Where an upstream listens."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """Host and port, or a unix path."""

    host: str
    port: int = 0
    unix_path: str = ""
    weight: int = 1
    """Its share of a group's requests beside those of the others."""

    def __str__(self) -> str:
        """As metrics and logs name it."""
        return self.unix_path or self.authority.decode()

    @property
    def authority(self) -> bytes:
        """The Host header."""
        if self.unix_path:
            return b"localhost"
        return f"[{self.host}]:{self.port}".encode() if ":" in self.host else f"{self.host}:{self.port}".encode()


def read_target(url: str) -> Target:
    """`http://host[:port]`, or `unix:/path/to/socket`; `;weight=3` after it is a larger share of the group's requests
    than the 1 of others, up to 100. Anything else is a ValueError that says what is allowed.

    TLS to upstreams is the business of what stands between the gateway and them: `https` is refused rather than
    spoken in clear.
    """
    url, said, weight = url.partition(";weight=")
    if said and (not weight.isascii() or not weight.isdigit() or not 1 <= int(weight[:4]) <= 100):
        raise ValueError("a weight is a whole number from 1 to 100, as in `http://host:7179;weight=3`")
    share = int(weight) if said else 1
    if url.startswith("unix:/"):
        return Target("", unix_path=url[5:], weight=share)
    parts = urlsplit(url)
    if (
        ";" in url
        or parts.scheme != "http"
        or not parts.hostname
        or parts.path not in {"", "/"}
        or parts.query
        or parts.username
    ):
        raise ValueError("an upstream is `http://host[:port]` or `unix:/path`, without a path, a query or a password")
    return Target(parts.hostname, parts.port or 80, weight=share)


def base_url(url: str) -> str:
    """Of a target as it is written in settings: without its weight, for who asks there by other means."""
    return url.partition(";")[0]
