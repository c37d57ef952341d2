"""What has to be known of a statement to carry it: is it an INSERT with data behind it, does it answer with rows, and
may they be sent as they come. Everything else is the engine's to parse."""

import re
from typing import NamedTuple

QUOTED = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|--[^\n]*|/\*.*?\*/""",
    re.DOTALL,
)
PARENTHESES = re.compile(r"\([^()]*\)")

INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?P<into>[^;]*?)(?P<settings>\s+SETTINGS\s[^;]*?)?"
    r"\s+(?:FORMAT\s+(?P<format>\w+)|(?P<values>VALUES))(?P<gap>[ \t]*\r?\n?)",
    re.IGNORECASE,
)
NOT_DATA = re.compile(r"\b(SELECT|WITH|WATCH|INFILE|VALUES)\b", re.IGNORECASE)

ROWS = re.compile(r"[\s(]*(SELECT|WITH|FROM|VALUES|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK|KILL)\b", re.IGNORECASE)
QUERY = re.compile(r"[\s(]*(SELECT|WITH)\b", re.IGNORECASE)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b.*)?;?\s*$", re.IGNORECASE | re.DOTALL)

STREAMED = frozenset({"Native", "RowBinary", "TabSeparated", "TSV", "CSV", "JSONEachRow"})
"""Formats without head and foot: blocks that are encoded one by one are valid when put together."""


class DataInsert(NamedTuple):
    """`INSERT INTO ... FORMAT x` whose data follows `end`, the length of its head."""

    into: str
    settings: str
    format: str
    end: int

    def from_file(self, path: str) -> str:
        """The same, reading its data from a file; `path` needs no escaping."""
        return f"INSERT INTO {self.into} FROM INFILE '{path}'{self.settings} FORMAT {self.format}"


def data_insert(text: str) -> DataInsert | None:
    """The head of an INSERT with data behind it; `None` for every other statement."""
    masked = _masked(text)
    found = INSERT.match(masked)
    if found is None or NOT_DATA.search(found["into"]):
        return None
    part = {name: text[slice(*found.span(name))] for name in ("into", "settings") if found[name] is not None}
    return DataInsert(part["into"], part.get("settings", ""), found["format"] or "Values", found.end())


def answers_with_rows(sql: str) -> bool:
    """Whether there is a result set, be it empty."""
    return ROWS.match(_unquoted(sql)) is not None


def output_format(sql: str, default: str) -> str:
    """The format that the statement names, or the default."""
    found = FORMAT.search(_masked(sql))
    return found[1] if found else default


def may_stream(sql: str, default: str) -> bool:
    """A query whose blocks can be sent one after another."""
    return QUERY.match(_unquoted(sql)) is not None and output_format(sql, default) in STREAMED


def _unquoted(text: str) -> str:
    """The same length, with strings, quoted names and comments blanked."""
    return QUOTED.sub(lambda found: (" " if found[0][0] in "-/" else "x") * len(found[0]), text)


def _masked(text: str) -> str:
    """The same, and what stands in parentheses too."""
    masked = _unquoted(text)
    while True:
        inner = PARENTHESES.sub(lambda found: "x" * len(found[0]), masked)
        if inner == masked:
            return masked
        masked = inner
