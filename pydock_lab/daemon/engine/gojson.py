"""Why a document is no JSON, or not of the shape it should have, in the words of Go's decoder, which clients show.

Only what has been refused already is looked at here. Source: Go's encoding/json (scanner.go, decode.go).
"""

from __future__ import annotations

import re

import msgspec

_SPACE = b" \t\r\n"
_ESCAPED = b'bfnrt\\/"'
_HEX = b"0123456789abcdefABCDEF"
_DIGITS = b"0123456789"
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_MISMATCH = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`(?: - at `\$\.?(?P<where>[^`]*)`)?")
_GOT = {"str": "string", "int": "number", "float": "number", "bool": "bool"}
_WANTED = {"str": "string", "int": "int64", "float": "float64"}
_ELEMENT = re.compile(r"\[[^\]]*\]")


def refusal(body: bytes, error: msgspec.DecodeError, kind: str) -> str:
    """Return Go's words for what msgspec has refused.

    Args:
        body: The document.
        error: What msgspec says.
        kind: Name of the type that it should be.
    """
    mismatch = _MISMATCH.search(str(error))
    if mismatch is None:
        return _Scanner(body).complaint() or str(error)
    # Of several types the first is Go's; the others are what its own decoders take besides.
    wanted = mismatch["wanted"].partition(" | ")[0]
    of_type = _WANTED.get(wanted, wanted)
    got = _GOT.get(mismatch["got"], mismatch["got"])
    if not mismatch["where"]:
        return f"json: cannot unmarshal {got} into Go value of type {kind}"
    field = _ELEMENT.sub("", mismatch["where"])
    return f"json: cannot unmarshal {got} into Go struct field {kind}.{field} of type {of_type}"


class _Malformed(Exception):
    """Where the scanner stopped."""


class _Scanner:
    """Go's scanner, as far as its complaints go."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def complaint(self) -> str:
        """Return what is wrong with the document, "" where nothing is."""
        try:
            self._value("looking for beginning of value")
            if self._skip_space() is not None:
                return "unexpected content after JSON"
        except _Malformed as malformed:
            return str(malformed)
        return ""

    def _skip_space(self) -> int | None:
        """Return the next character that is no space, None at the end."""
        while self._at < len(self._body) and self._body[self._at] in _SPACE:
            self._at += 1
        return self._body[self._at] if self._at < len(self._body) else None

    def _take(self) -> int:
        if self._at == len(self._body):
            raise _Malformed("unexpected EOF")
        self._at += 1
        return self._body[self._at - 1]

    def _take_next(self) -> int:
        self._skip_space()
        return self._take()

    @staticmethod
    def _invalid(character: int, where: str) -> _Malformed:
        shown = {"'": "\\'", '"': '"', "\n": "\\n", "\t": "\\t", "\\": "\\\\"}.get(chr(character), chr(character))
        return _Malformed(f"invalid character '{shown}' {where}")

    def _value(self, where: str) -> None:
        first = self._take_next()
        if first == ord("{"):
            self._object()
        elif first == ord("["):
            self._array()
        elif first == ord('"'):
            self._string()
        elif first in b"-0123456789":
            self._number(first)
        elif first in _LITERALS:
            self._literal(_LITERALS[first])
        else:
            raise self._invalid(first, where)

    def _object(self) -> None:
        if self._skip_space() == ord("}"):
            self._at += 1
            return
        while True:
            if (quote := self._take_next()) != ord('"'):
                raise self._invalid(quote, "looking for beginning of object key string")
            self._string()
            if (colon := self._take_next()) != ord(":"):
                raise self._invalid(colon, "after object key")
            self._value("looking for beginning of value")
            if (after := self._take_next()) == ord("}"):
                return
            if after != ord(","):
                raise self._invalid(after, "after object key:value pair")

    def _array(self) -> None:
        if self._skip_space() == ord("]"):
            self._at += 1
            return
        while True:
            self._value("looking for beginning of value")
            if (after := self._take_next()) == ord("]"):
                return
            if after != ord(","):
                raise self._invalid(after, "after array element")

    def _string(self) -> None:
        while (character := self._take()) != ord('"'):
            if character < 0x20:
                raise self._invalid(character, "in string literal")
            if character == ord("\\"):
                self._escape(self._take())

    def _escape(self, kind: int) -> None:
        if kind == ord("u"):
            for _ in range(4):
                if (digit := self._take()) not in _HEX:
                    raise self._invalid(digit, "in \\u hexadecimal character escape")
        elif kind not in _ESCAPED:
            raise self._invalid(kind, "in string escape code")

    def _literal(self, whole: bytes) -> None:
        for expected in whole[1:]:
            if (character := self._take()) != expected:
                raise self._invalid(character, f"in literal {whole.decode()} (expecting '{chr(expected)}')")

    def _number(self, first: int) -> None:
        if first == ord("-"):
            first = self._digit("in numeric literal")
        if first != ord("0"):
            self._digits()
        if self._follows(b"."):
            self._digit("after decimal point in numeric literal")
            self._digits()
        if self._follows(b"eE"):
            self._follows(b"+-")
            self._digit("in exponent of numeric literal")
            self._digits()

    def _digit(self, where: str) -> int:
        if (digit := self._take()) not in _DIGITS:
            raise self._invalid(digit, where)
        return digit

    def _digits(self) -> None:
        while self._follows(_DIGITS):
            pass

    def _follows(self, characters: bytes) -> bool:
        """Take the next character if it is one of these."""
        there = self._at < len(self._body) and self._body[self._at] in characters
        self._at += there
        return there
