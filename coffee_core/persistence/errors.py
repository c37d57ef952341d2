"""PostgreSQL's errors as domain errors, decided by SQLSTATE (PostgreSQL manual, appendix A), never by message text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import asyncpg

from coffee_core.domain.errors import (
    CoffeeError,
    ConflictError,
    DeadlineError,
    InputError,
    RuleError,
    UnavailableError,
)


class SerializationError(UnavailableError):
    """Two transactions could not be ordered: nothing was stored, the same again may succeed."""


def _unfit(_: str) -> CoffeeError:
    return InputError("a value does not fit its column")


def _lost(_: str) -> CoffeeError:
    return UnavailableError("the database connection was lost")


def _met(_: str) -> CoffeeError:
    return SerializationError("two writes met: try again", retry_after=0)


def _no_room(_: str) -> CoffeeError:
    return UnavailableError("the database has no room or is restarting", retry_after=2)


BY_STATE: Mapping[str, Callable[[str], CoffeeError]] = {
    "23505": lambda name: ConflictError(f"there is such a row already{name}"),
    "23503": lambda name: ConflictError(f"a row that this one refers to, or that refers to it, is in the way{name}"),
    "23502": lambda name: InputError(f"a value is missing{name}"),
    "23514": lambda name: RuleError(f"a rule of the table refuses this row{name}"),
    "23P01": lambda name: RuleError(f"a rule of the table refuses this row{name}"),
    "21000": lambda _: InputError("the same key is given twice in one write"),
    "22025": lambda _: InputError("a LIKE pattern must not end with a single backslash"),
    "40001": _met,
    "40P01": _met,
    "57014": lambda _: DeadlineError("the database stopped the statement: it ran too long"),
    "53300": _no_room,
    "57P01": _no_room,
    "57P02": _no_room,
    "57P03": _no_room,
    "25P03": _no_room,
}

BY_CLASS: Mapping[str, Callable[[str], CoffeeError]] = {"22": _unfit, "08": _lost}


def translate(error: Exception) -> Exception:
    """The domain error for a driver's; an error of ours in the SQL itself comes back as it is.

    Values are never repeated: the detail of a driver's error may hold another caller's.
    """
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return UnavailableError("a table has changed since the statement was prepared: try again", retry_after=0)
    if isinstance(error, asyncpg.PostgresError):
        state: str = getattr(error, "sqlstate", None) or ""
        make = BY_STATE.get(state) or BY_CLASS.get(state[:2])
        name = getattr(error, "constraint_name", None) or getattr(error, "column_name", None)
        return error if make is None else make(f" ({name})" if name else "")
    if isinstance(error, asyncpg.DataError):
        return _unfit("")
    if isinstance(error, asyncpg.InterfaceError | OSError):
        return _lost("")
    return error
