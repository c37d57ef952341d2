"""How an operation says that its uses are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metered:
    """`Metered("DISCOVERY")`: an answer that holds something counts `cost` uses; a failed or an empty one is free.

    A POST takes an Idempotency-Key, so that one whose answer was lost can be sent again and is billed once.

    With `by="handler"` the operation counts itself, by `Meter.use`; then this says that it may, so that the answer
    tells what it came to, `dryRun=cost` is understood, and the API description knows.
    """

    namespace: str
    cost: int = 1
    by: Literal["answer", "handler"] = "answer"

    def __post_init__(self) -> None:
        if self.cost < 1:
            raise ValueError(f"{self.namespace}: a use costs at least 1")
