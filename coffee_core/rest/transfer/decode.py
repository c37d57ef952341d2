"""Bytes to text in a declared encoding. Nothing is guessed: what does not fit is refused where it stands."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from coffee_core.domain.errors import FieldError, InputError

ENCODINGS: Mapping[str, str] = {
    "utf-8": "utf-8", "utf8": "utf-8", "ascii": "ascii", "us-ascii": "ascii",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16-le": "utf-16-le", "utf-16be": "utf-16-be",
    "utf-16-be": "utf-16-be",
    "latin-1": "latin-1", "latin1": "latin-1", "iso-8859-1": "latin-1", "iso-8859-2": "iso8859-2",
    "iso-8859-9": "iso8859-9", "iso-8859-15": "iso8859-15", "windows-1250": "cp1250", "cp1250": "cp1250",
    "windows-1251": "cp1251", "cp1251": "cp1251", "windows-1252": "cp1252", "cp1252": "cp1252",
    "windows-1254": "cp1254", "cp1254": "cp1254", "koi8-r": "koi8-r", "mac-roman": "mac-roman",
    "shift-jis": "shift_jis", "cp932": "cp932", "euc-jp": "euc_jp", "gb18030": "gb18030", "gbk": "gbk",
    "big5": "big5", "euc-kr": "euc_kr",
}  # fmt: skip
"""Names as callers write them, and Python's. A list of our own: some of Python's codecs are no text encodings."""

UTF8_BOM = codecs.BOM_UTF8
UTF16_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def known_encoding(name: str) -> str:
    """Python's name for an encoding; `InputError` names what there is."""
    codec = ENCODINGS.get(name.strip().lower().replace("_", "-"))
    if codec is None:
        detail = f"must be one of {', '.join(ENCODINGS)}"
        raise InputError(f"parameter 'encoding' {detail}", errors=[FieldError("?encoding", detail)])
    return codec


class Decoder:
    """Fed with chunks of any size. A byte order mark is taken off, and refused where it contradicts `encoding`."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self._codec = known_encoding(encoding)
        self._decode = codecs.getincrementaldecoder(self._codec)("strict")
        self._head = bytearray()
        self._started = False
        self._fed = 0
        self._line = 1

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """The text of `data`; bytes of a character that is not complete yet wait for the next call."""
        if not self._started:
            self._head += data
            if len(self._head) < len(UTF8_BOM) and not final:
                return ""
            data, self._started = self._without_bom(bytes(self._head)), True
        waiting = len(self._decode.getstate()[0])
        try:
            text = self._decode.decode(data, final)
        except UnicodeDecodeError as error:
            raise self._refused(error, self._fed - waiting) from None
        self._fed += len(data)
        if "\0" in text:
            line = self._line + text[: text.index("\0")].count("\n")
            advice = "" if self._codec.startswith("utf-16") else "; if the file is UTF-16 say encoding=utf-16"
            raise InputError(f"line {line} holds a NUL character, which text does not have{advice}")
        self._line += text.count("\n")
        return text

    def _without_bom(self, head: bytes) -> bytes:
        utf16 = UTF16_BOMS.get(head[:2])
        if head.startswith(UTF8_BOM):
            if self._codec != "utf-8":
                raise InputError(
                    f"the file starts with the byte order mark of UTF-8, and encoding={self.encoding} was declared: "
                    "say encoding=utf-8, or leave it out"
                )
            return self._skip(head, len(UTF8_BOM))
        if self._codec == "utf-16":
            if utf16 is None:
                raise InputError("UTF-16 without a byte order mark: say encoding=utf-16-le or encoding=utf-16-be")
            self._codec = utf16
            self._decode = codecs.getincrementaldecoder(utf16)("strict")
            return self._skip(head, 2)
        if utf16 is not None and utf16 != self._codec:
            raise InputError(
                f"the file starts with the byte order mark of UTF-16, and encoding={self.encoding} was declared: "
                "say encoding=utf-16"
            )
        return head if utf16 is None else self._skip(head, 2)

    def _skip(self, head: bytes, count: int) -> bytes:
        self._fed = count
        return head[count:]

    def _refused(self, error: UnicodeDecodeError, start: int) -> InputError:
        byte = error.object[error.start]
        newline = b"\n\0" if self._codec == "utf-16-le" else b"\0\n" if self._codec == "utf-16-be" else b"\n"
        line = self._line + error.object[: error.start].count(newline)
        offset = start + error.start
        advice = (
            ": if the file is Latin-1 say encoding=latin-1, if it is from Windows or Excel encoding=windows-1252"
            if self._codec == "utf-8"
            else ""
        )
        name = {"utf-8": "UTF-8"}.get(self._codec, self.encoding)
        return InputError(f"byte 0x{byte:02X} at offset {offset} (line {line}) is not {name}{advice}")
