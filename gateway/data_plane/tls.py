"""TLS towards clients, if a certificate is named; a new certificate is taken up while the gateway runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Annotated, Final, Literal

from annotated_types import Gt
from pydantic_settings import BaseSettings, SettingsConfigDict

from coffee_core.domain.errors import CoffeeError

log: Final = logging.getLogger("gateway.data_plane")

Seconds = Annotated[float, Gt(0)]


class TlsSettings(BaseSettings):
    """Of the port that clients use; the metrics port speaks in clear."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_GATEWAY_TLS_", frozen=True, extra="ignore")

    certificate: Path | None = None
    """PEM file with the certificate and those between it and a root. Unset: no TLS."""

    key: Path | None = None
    """PEM file with the private key, without a pass phrase. Unset: it is in the certificate's file."""

    minimum: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""

    handshake_timeout: Seconds = 10.0
    """For a handshake; longer ends the connection. Seconds."""

    reload_seconds: Seconds = 30.0
    """How often the files are looked at: a change counts for connections made after it. Seconds."""


_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ServerTls:
    """The context for new connections: always one whose certificate and key belong together."""

    def __init__(self, certificate: Path, settings: TlsSettings) -> None:
        """A file that is missing or not right is a `CoffeeError` that names it."""
        self.settings = settings
        self._certificate = certificate
        self._key = settings.key or certificate
        self._seen = self._state()
        self._next = 0.0
        self.context = self._load()

    def sweep(self, now: float) -> None:
        """Look at the files if it is time; a new certificate that does not load is logged, and the old one stays."""
        if now < self._next:
            return
        self._next = now + self.settings.reload_seconds
        state = self._state()
        if state == self._seen:
            return
        try:
            self.context = self._load()
        except CoffeeError as error:
            log.error("the old certificate stays: %s", error.detail)  # noqa: TRY400 - the sentence says it all
            return  # both files may be about to be replaced: they are looked at again
        self._seen = state
        log.info("the certificate %s was read anew", self._certificate)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.settings.minimum]
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_pass_phrase)
        except ssl.SSLError as error:
            raise CoffeeError(
                f"TLS: {self._certificate} and {self._key} are no certificate with its key: {error.reason}"
            ) from None
        except OSError as error:
            raise CoffeeError(f"TLS: {self._certificate} or {self._key}: {error.strerror}") from None
        except ValueError:
            raise CoffeeError(f"TLS: {self._key} has a pass phrase; it must be stored without one") from None
        return context

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stat(path) for path in (self._certificate, self._key))


def open_tls(settings: TlsSettings) -> ServerTls | None:
    """`None` without a certificate."""
    if settings.certificate is None:
        if settings.key is not None:
            raise CoffeeError("COFFEE_GATEWAY_TLS_KEY is set, COFFEE_GATEWAY_TLS_CERTIFICATE is not: set both")
        return None
    return ServerTls(settings.certificate, settings)


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _no_pass_phrase() -> str:
    """Instead of asking at the terminal."""
    raise ValueError
