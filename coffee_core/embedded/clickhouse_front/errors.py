"""ClickHouse's own errors, by their codes (src/Common/ErrorCodes.cpp), with the HTTP status its server gives each."""

import re

NOT_IMPLEMENTED = 48
BAD_ARGUMENTS = 36
SYNTAX_ERROR = 62
QUERY_IS_TOO_LARGE = 223
CANNOT_DECOMPRESS = 271
SESSION_IS_LOCKED = 373
SESSION_NOT_FOUND = 372
AUTHENTICATION_FAILED = 516
TOO_MANY_SIMULTANEOUS_QUERIES = 202
UNKNOWN = 1002

NAMES = {
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
}

STATUSES = {
    16: 404,  # NO_SUCH_COLUMN_IN_TABLE
    36: 400,
    47: 404,  # UNKNOWN_IDENTIFIER
    48: 501,
    60: 404,  # UNKNOWN_TABLE
    62: 400,
    81: 404,  # UNKNOWN_DATABASE
    115: 404,  # UNKNOWN_SETTING
    159: 408,  # TIMEOUT_EXCEEDED
    202: 503,  # the server says 500; 503 lets clients try again by themselves
    223: 413,
    271: 400,
    372: 404,
    373: 423,
    457: 400,  # BAD_QUERY_PARAMETER
    516: 403,
}


class QueryError(Exception):
    """A query that failed, as ClickHouse reports it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status for this code; 500 is ClickHouse's own default."""
        return STATUSES.get(self.code, 500)


def refused(code: int, sentence: str) -> QueryError:
    """An error of the front itself, in the words that ClickHouse uses for its own."""
    return QueryError(code, f"Code: {code}. DB::Exception: {sentence} ({NAMES[code]})")


def from_engine(error: RuntimeError) -> QueryError:
    """chDB's error: the code stands in its text."""
    text = str(error)
    found = re.search(r"Code: (\d+)\. DB::", text)
    return QueryError(int(found[1]), text[found.start() :]) if found else QueryError(UNKNOWN, text)
