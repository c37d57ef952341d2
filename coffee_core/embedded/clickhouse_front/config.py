"""What the process is told: one JSON object, its only argument."""

import json
from typing import NamedTuple, Self


class FrontConfig(NamedTuple):
    """Nothing in it is secret: other users may read the arguments of a process."""

    descriptor: int
    """The listening socket, inherited."""

    folder: str
    password_file: str
    queries: int
    queue: int
    body_bytes: int
    drain_seconds: float
    idle_seconds: float
    """After so long without a request the engine ends until the next one; 0: never."""

    def to_argument(self) -> str:
        """As JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def from_argument(cls, text: str) -> Self:
        """From JSON."""
        return cls(**json.loads(text))
