"""Protocol Buffers' wire format: messages as dataclasses, each field with the number of its `.proto` file.

    @dataclass
    class Secret(Message):
        id: Annotated[str, 1] = ""
        notes: Annotated[dict[str, str], 2] = field(default_factory=dict)

What a message does not name is skipped; what has its default is not written. Integers are
varints (`int32`, `int64`, `uint32`, `bool`), read unsigned; of the fixed-size kinds none is needed.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydock_lab.errors import InvalidParameter

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_NEGATIVE = 1 << 64

M = TypeVar("M", bound="Message")


def varint(value: int) -> bytes:
    """Write a number, seven bits a byte, the lowest first; a negative one takes all ten bytes."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value %= _NEGATIVE
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and value as they stand: a number, or bytes.

    Raises:
        InvalidParameter: the bytes are no message.
    """
    at, end = 0, len(data)
    try:
        while at < end:
            # Most numbers are one byte long: those are read here, the others by a call.
            key = data[at]
            at += 1
            if key >= 0x80:
                key, at = _read_varint(data, at - 1)
            kind = key & 7
            if kind in _WIDTHS:
                yield key >> 3, data[at : at + _WIDTHS[kind]]
                at += _WIDTHS[kind]
                continue
            value = data[at]
            at += 1
            if value >= 0x80:
                value, at = _read_varint(data, at - 1)
            if kind == _VARINT:
                yield key >> 3, value
            elif kind == _BYTES and at + value <= end:
                yield key >> 3, data[at : at + value]
                at += value
            else:
                raise InvalidParameter("proto: cannot parse invalid wire-format data")
    except IndexError:
        raise InvalidParameter("proto: unexpected EOF") from None


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place behind it."""
    value = shift = 0
    while (byte := data[at]) >= 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1


class Message:
    """The base of all messages; a subclass is a dataclass whose fields are `Annotated[type, number]`."""

    def encode(self) -> bytes:
        """Write the message."""
        return b"".join(
            column.write(value) for column in _columns(type(self)).values() if (value := getattr(self, column.name))
        )

    @classmethod
    def decode(cls: type[M], data: bytes) -> M:
        """Read a message.

        Raises:
            InvalidParameter: the bytes are no message of this kind.
        """
        message, known = cls(), _columns(cls)
        for number, raw in fields(data):
            if (column := known.get(number)) is None:
                continue
            if column.repeated:
                column.add(message, raw)
            else:
                setattr(message, column.name, column.value(raw))
        return message


@dataclass
class _Column:
    """One field of a message.

    Attributes:
        value: Makes what a field holds of what stands on the wire.
        mapped: The same for the values of a map, else None.
    """

    name: str
    number: int
    value: Callable[[int | bytes], Any]
    repeated: bool = False
    mapped: Callable[[int | bytes], Any] | None = None

    def write(self, value: Any) -> bytes:
        """Write a field that has a value, with its number, as often as it occurs."""
        if self.mapped is not None:
            entries = (_field(1, key) + _field(2, item) for key, item in value.items())
            return b"".join(_field(self.number, entry) for entry in entries)
        if self.repeated:
            return b"".join(_field(self.number, item) for item in value)
        return _field(self.number, value)

    def add(self, message: Message, raw: int | bytes) -> None:
        """Add one occurrence of what may occur often."""
        if self.mapped is None:
            getattr(message, self.name).append(self.value(raw))
            return
        entry = dict(fields(_bytes(raw)))
        getattr(message, self.name)[_text(entry.get(1, b""))] = self.mapped(entry.get(2, b""))


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(int(value))
    if isinstance(value, str):
        content = value.encode(errors="surrogateescape")
    else:
        content = value.encode() if isinstance(value, Message) else bytes(value)
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def _number(raw: int | bytes) -> int:
    if not isinstance(raw, int):
        raise InvalidParameter("proto: cannot parse invalid wire-format data")
    return raw if raw < _NEGATIVE >> 1 else raw - _NEGATIVE


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise InvalidParameter("proto: cannot parse invalid wire-format data")
    return raw


def _text(raw: int | bytes) -> str:
    return _bytes(raw).decode(errors="surrogateescape")


def _flag(raw: int | bytes) -> bool:
    return bool(_number(raw))


def _reader(kind: Any) -> Callable[[int | bytes], Any]:
    plain: dict[Any, Callable[[int | bytes], Any]] = {int: _number, bool: _flag, str: _text, bytes: _bytes}
    return plain.get(kind) or (lambda raw: kind.decode(_bytes(raw)))


_PLANS: dict[type, dict[int, _Column]] = {}


def _columns(kind: type[Message]) -> dict[int, _Column]:
    """Return a message's fields by number; read from its annotations once."""
    if kind not in _PLANS:
        _PLANS[kind] = {column.number: column for column in _read_columns(kind)}
    return _PLANS[kind]


def _read_columns(kind: type[Message]) -> Iterator[_Column]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue
        inner, number = get_args(hint)[:2]
        origin, arguments = get_origin(inner), get_args(inner)
        if origin is list:
            yield _Column(name, number, _reader(arguments[0]), repeated=True)
        elif origin is dict:
            yield _Column(name, number, _bytes, repeated=True, mapped=_reader(arguments[1]))
        else:
            present = [part for part in arguments if part is not type(None)] if _is_union(origin) else [inner]
            yield _Column(name, number, _reader(present[0]))


def _is_union(origin: Any) -> bool:
    # `A | None` is types.UnionType, which 3.10's get_type_hints may turn into typing.Union.
    return origin is Union or getattr(origin, "__name__", "") == "UnionType"
