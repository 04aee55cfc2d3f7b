"""Messages with a declared layout: written once in Python, understood by Python and by the sketch on a board.

::

    class Imu(Layout, number=1):
        '''What the sensor says, a hundred times a second.'''

        time: Annotated[u32, "milliseconds since the start"]
        heading: f32
        samples: Annotated[list[i16], 4]
        note: Annotated[str, UpTo(16)]

On the wire: the layout's number (1 byte, if it has one), then its fields one behind the other, without gaps, least
significant byte first. What has no fixed length is led by one byte that counts its elements. Text is UTF-8.
:func:`leadscomm.hardware.header.header` writes the same for C++.
"""

from __future__ import annotations

import dataclasses
import operator
import struct
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, get_args, get_origin, get_type_hints

from leadscomm.errors import LocalProtocolError, RemoteProtocolError
from leadscomm.packages import Self, dataclass_transform

MOST: Final = 255
"""Elements of a field at most: what one byte counts."""


# What a field may be ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Scalar:
    """A number of fixed width.

    :ivar name: as it is written in a layout, ``i16``.
    :ivar code: as the module ``struct`` calls it.
    """

    name: str
    code: str

    @property
    def size(self) -> int:
        return struct.calcsize(self.code)

    def pack(self, value: Any) -> bytes:
        """:raises ValueError: it does not hold this value; the text says why."""
        try:
            return struct.pack("<" + self.code, self._plain(value))
        except (struct.error, OverflowError):
            raise ValueError(f"is {value!r}, which {self.name} does not hold{self._range()}") from None
        except TypeError:
            raise ValueError(f"is {value!r}, which is no value for {self.name}") from None

    def unpack(self, data: bytes) -> Any:
        """:raises ValueError: these bytes are no such value."""
        if self.code == "?" and data not in (b"\0", b"\1"):
            raise ValueError(f"is the byte {data.hex()}, which is neither 00 nor 01")
        return struct.unpack("<" + self.code, data)[0]

    def _plain(self, value: Any) -> Any:
        if self.code == "?":
            if not isinstance(value, bool):
                raise TypeError
            return value
        return float(_number(value)) if self.code == "f" else operator.index(value)

    def _range(self) -> str:
        if self.code == "f":
            return ""
        bits = 8 * self.size
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.code.islower() else (0, (1 << bits) - 1)
        return f" ({low} to {high})"


def _number(value: Any) -> Any:
    """Not text, although ``float`` reads that."""
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError
    return value


u8 = Annotated[int, Scalar("u8", "B")]
i8 = Annotated[int, Scalar("i8", "b")]
u16 = Annotated[int, Scalar("u16", "H")]
i16 = Annotated[int, Scalar("i16", "h")]
u32 = Annotated[int, Scalar("u32", "I")]
i32 = Annotated[int, Scalar("i32", "i")]
u64 = Annotated[int, Scalar("u64", "Q")]
i64 = Annotated[int, Scalar("i64", "q")]
f32 = Annotated[float, Scalar("f32", "f")]  # there is no f64: on AVR a double has 32 bits too
_BOOL: Final = Scalar("bool", "?")
_U8: Final = Scalar("u8", "B")


@dataclasses.dataclass(frozen=True)
class UpTo:
    """Behind a list, bytes or text: it has at most so many elements (of text: bytes), and one byte counts them."""

    most: int


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a layout.

    :ivar kind: ``scalar``, ``list``, ``bytes`` or ``text``.
    :ivar scalar: its type, or that of its elements.
    :ivar most: how many elements it has at most; 1 for a scalar.
    :ivar counted: whether it may have fewer, and so is led by their number.
    :ivar comment: what was written beside it.
    """

    name: str
    kind: str
    scalar: Scalar
    most: int
    counted: bool
    comment: str

    @property
    def longest(self) -> int:
        """Bytes on the wire at most."""
        return self.counted + self.most * self.scalar.size

    def pack(self, value: Any) -> bytes:
        if self.kind == "scalar":
            return self.scalar.pack(value)
        packed = self._elements(value)
        count = len(packed) // self.scalar.size
        if count > self.most or (count < self.most and not self.counted):
            raise ValueError(f"has {count} {self._unit()}, {'at most' if self.counted else 'not'} {self.most}")
        return bytes([count]) * self.counted + packed

    def _elements(self, value: Any) -> bytes:
        if self.kind == "text":
            if not isinstance(value, str):
                raise ValueError(f"is {value!r}, which is no str")
            packed = value.encode()
            _text(packed)
            return packed
        if self.kind == "bytes":
            if not isinstance(value, (bytes, bytearray, memoryview)):
                raise ValueError(f"is {value!r}, which is no bytes")
            return bytes(value)
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise ValueError(f"is {value!r}, which is no list")
        elements = []
        for index, element in enumerate(value):
            try:
                elements.append(self.scalar.pack(element))
            except ValueError as error:
                raise ValueError(f"[{index}] {error}") from None
        return b"".join(elements)

    def unpack(self, data: bytes, at: int) -> tuple[Any, int]:
        """The value at ``at``, and where the next one begins."""
        count = self.most
        if self.counted:
            (count,) = _cut(data, at, 1)
            at += 1
            if count > self.most:
                raise ValueError(f"has {count} {self._unit()}, at most {self.most}")
        size = self.scalar.size
        packed = _cut(data, at, count * size)
        at += len(packed)
        if self.kind == "scalar":
            return self.scalar.unpack(packed), at
        if self.kind == "bytes":
            return packed, at
        if self.kind == "text":
            return _text(packed), at
        return [self.scalar.unpack(packed[i : i + size]) for i in range(0, len(packed), size)], at

    def _unit(self) -> str:
        return "elements" if self.kind == "list" else "bytes"


def _text(packed: bytes) -> str:
    if 0 in packed:
        raise ValueError("holds a zero, which ends a text in C++")
    return packed.decode()  # UnicodeDecodeError is a ValueError


def _cut(data: bytes, at: int, size: int) -> bytes:
    if len(data) - at < size:
        raise ValueError(f"wants {size} more byte(s), and there are {len(data) - at}")
    return data[at : at + size]


# Layouts -----------------------------------------------------------------------------------------------------------


@dataclass_transform(frozen_default=True)
class Layout:
    """Subclass it, and write the fields as annotations; the subclass is a frozen dataclass.

    A field is ``bool``, ``u8`` ``i8`` ``u16`` ``i16`` ``u32`` ``i32`` ``u64`` ``i64`` ``f32``; or a list of these or
    ``bytes`` of fixed length, ``Annotated[list[i16], 4]`` and ``Annotated[bytes, 16]``; or a list, ``bytes`` or ``str``
    of some length, ``Annotated[str, UpTo(16)]``. A string in ``Annotated`` is a comment.

    :raises TypeError: of the class statement: a field is of no type that a layout can hold.
    """

    number: ClassVar[int | None] = None
    """Of the message, 0 to 255: its first byte, by which the receiver tells it from others. ``class Imu(Layout,
    number=1)`` sets it; without one the message is only the fields."""

    fields: ClassVar[tuple[Field, ...]] = ()
    longest: ClassVar[int] = 0
    """Bytes on the wire at most."""

    def __init_subclass__(cls, number: int | None = None) -> None:
        super().__init_subclass__()
        if number is not None and not 0 <= number <= 255:
            raise TypeError(f"{cls.__name__}: number is {number}, which one byte does not hold")
        hints = get_type_hints(cls, include_extras=True)
        names = [name for name in hints if get_origin(hints[name]) is not ClassVar]
        cls.number = number
        cls.fields = tuple(_field(cls, name, hints[name]) for name in names)
        cls.longest = (number is not None) + sum(field.longest for field in cls.fields)
        dataclasses.dataclass(frozen=True)(cls)

    def pack(self) -> bytes:
        """The message, ready to be sent.

        :raises LocalProtocolError: a value does not fit its field; the text names both.
        """
        packed = [b"" if self.number is None else bytes([self.number])]
        for field in self.fields:
            try:
                packed.append(field.pack(getattr(self, field.name)))
            except ValueError as error:
                raise LocalProtocolError(_named(type(self), field, error)) from None
        return b"".join(packed)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The values of a received message.

        :raises RemoteProtocolError: it is too short or too long, has another number, or holds what a field does not.
        """
        at = 0
        if cls.number is not None:
            if data[:1] != bytes([cls.number]):
                raise RemoteProtocolError(f"{cls.__name__} begins with {cls.number:02x}, and not {data[:1].hex()!r}")
            at = 1
        values = {}
        for field in cls.fields:
            try:
                values[field.name], at = field.unpack(data, at)
            except ValueError as error:
                raise RemoteProtocolError(_named(cls, field, error)) from None
        if at != len(data):
            raise RemoteProtocolError(f"{cls.__name__} ends after {at} bytes, and {len(data)} came")
        return cls(**values)


def _named(layout: type[Layout], field: Field, error: ValueError) -> str:
    text = str(error)
    return f"{layout.__name__}.{field.name}{'' if text.startswith('[') else ' '}{text}"


def _field(layout: type[Layout], name: str, hint: Any) -> Field:
    place = f"{layout.__name__}.{name}"
    base, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    comment = " ".join(extra for extra in extras if isinstance(extra, str))
    extras = [extra for extra in extras if not isinstance(extra, str)]
    if name.startswith("_") or name in RESERVED:
        raise TypeError(f"{place}: this name is taken, or a word of C++")
    if base is bool and not extras:
        return Field(name, "scalar", _BOOL, 1, False, comment)
    if len(extras) == 1 and isinstance(extras[0], Scalar):
        return Field(name, "scalar", extras[0], 1, False, comment)
    kind, scalar = _elements_of(base)
    if scalar is None or len(extras) != 1 or not isinstance(extras[0], (int, UpTo)):
        raise TypeError(f"{place}: {hint} is no type of a field; such are u16, Annotated[list[i16], 4] and {_TEXT}")
    counted = isinstance(extras[0], UpTo)
    most = extras[0].most if isinstance(extras[0], UpTo) else extras[0]
    if not 1 <= most <= MOST:
        raise TypeError(f"{place}: {most} elements; 1 to {MOST} can be had")
    if kind == "text" and not counted:
        raise TypeError(f"{place}: text has no fixed length; write {_TEXT}")
    return Field(name, kind, scalar, most, counted, comment)


_TEXT: Final = "Annotated[str, UpTo(16)]"


def _elements_of(base: Any) -> tuple[str, Scalar | None]:
    if base is bytes:
        return "bytes", _U8
    if base is str:
        return "text", _U8
    if get_origin(base) is list:
        (element,) = get_args(base)
        if element is bool:
            return "list", _BOOL
        if get_origin(element) is Annotated:
            return "list", next((extra for extra in get_args(element)[1:] if isinstance(extra, Scalar)), None)
    return "", None


RESERVED: Final = frozenset(
    "number fields longest pack unpack read write writer reader NUMBER LONGEST alignas alignof and and_eq asm auto "
    "bitand bitor bool boolean break byte case catch char class compl const const_cast constexpr continue decltype "
    "default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int "
    "long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register "
    "reinterpret_cast return short signed sizeof static static_assert static_cast struct switch template this "
    "thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while word "
    "xor xor_eq INPUT OUTPUT HIGH LOW".split()
)
"""Names that a field cannot have: they mean something here or in a sketch."""
