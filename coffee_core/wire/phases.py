"""What a client's connection is in the middle of."""

from typing import Final

IDLE: Final = 0
"""Between requests, or before the first."""

HEAD: Final = 1
"""Inside a request's head."""

BODY: Final = 2
"""Inside its body; its answer may have begun."""

BUSY: Final = 3
"""The request has been read and its answer is not finished."""

TUNNEL: Final = 4
"""Upgraded to another protocol."""

CLOSING: Final = 5
"""The last answer is out, or was broken off; input is dropped."""
