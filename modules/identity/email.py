"""E-mail addresses in the one spelling in which they are stored, searched and counted."""

from __future__ import annotations

import re
import unicodedata

from coffee_core.domain.errors import FieldError, InputError

LONGEST = 254
"""RFC 5321 section 4.5.3.1.3, less the angle brackets."""

_LOCAL = re.compile(r"[^\s@\"(),:;<>\[\\\]\x00-\x1f\x7f]{1,64}").fullmatch
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch


def normalise(text: str) -> str:
    """Lower case, compatibility forms folded (NFKC), the domain in ASCII; what is no address is an `InputError`.

    Quoted local parts and address literals are refused: nobody signs in with one. The local part is taken as
    case-insensitive, which every large provider does, so that one mailbox is one user.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).casefold())
    local, at, domain = folded.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode() if at else ""
    except UnicodeError:
        ascii_domain = ""
    labels = ascii_domain.split(".")
    address = f"{local}@{ascii_domain}"
    good = len(labels) > 1 and all(map(_LABEL, labels)) and _LOCAL(local) and len(address.encode()) <= LONGEST
    if not good or local[0] == "." or local[-1] == "." or ".." in local:
        detail = "must be an e-mail address, like name@example.com"
        raise InputError(f"/email {detail}", errors=[FieldError("/email", detail)])
    return address
