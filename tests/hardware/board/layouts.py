"""Random layouts, with values for them, and how those are written in C++."""

from __future__ import annotations

import keyword
import struct
from typing import Annotated, Any

from hypothesis import strategies as st

from leadscomm.hardware.board.layout import RESERVED, Field, Layout, UpTo, f32, i8, i16, i32, i64, u8, u16, u32, u64

SCALARS = {"u8": u8, "i8": i8, "u16": u16, "i16": i16, "u32": u32, "i32": i32, "u64": u64, "i64": i64, "f32": f32}
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True).filter(
    lambda name: name not in {*RESERVED, "in", "out", "i"} and not keyword.iskeyword(name)
)
COMMENTS = st.sampled_from(["", "metres", "a // comment */ with everything"])


@st.composite
def hints(draw: st.DrawFn) -> Any:
    """The annotation of a field."""
    length = draw(st.integers(1, 12) | st.just(255))
    length = draw(st.sampled_from([length, UpTo(length)]))
    element = draw(st.sampled_from([bool, *SCALARS.values()]))
    base = draw(st.sampled_from(["scalar", "list", "bytes", "text"]))
    if base == "scalar":
        return Annotated[element, draw(COMMENTS)]
    if base == "text":
        return Annotated[str, length if isinstance(length, UpTo) else UpTo(length), draw(COMMENTS)]
    return Annotated[list[element] if base == "list" else bytes, length, draw(COMMENTS)]  # type: ignore[valid-type]


@st.composite
def layouts(draw: st.DrawFn, name: str = "Random") -> type[Layout]:
    fields = draw(st.dictionaries(NAMES, hints(), min_size=1, max_size=6))
    number = draw(st.none() | st.integers(0, 255))
    return type(name, (Layout,), {"__annotations__": fields, "__module__": __name__}, number=number)


def numbers(field: Field) -> st.SearchStrategy[Any]:
    if field.scalar.name == "bool":
        return st.booleans()
    if field.scalar.name == "f32":
        return st.floats(width=32, allow_nan=False)
    bits = 8 * field.scalar.size
    low = -(1 << bits - 1) if field.scalar.name.startswith("i") else 0
    return st.integers(low, low + (1 << bits) - 1)


def texts(most: int) -> st.SearchStrategy[str]:
    letters = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=most)
    return letters.filter(lambda text: len(text.encode()) <= most)


def values(field: Field) -> st.SearchStrategy[Any]:
    fewest = 0 if field.counted else field.most
    if field.kind == "scalar":
        return numbers(field)
    if field.kind == "text":
        return texts(field.most)
    if field.kind == "bytes":
        return st.binary(min_size=fewest, max_size=field.most)
    return st.lists(numbers(field), min_size=fewest, max_size=field.most)


@st.composite
def messages(draw: st.DrawFn, name: str = "Random") -> Layout:
    layout = draw(layouts(name))
    return layout(**{field.name: draw(values(field)) for field in layout.fields})


# In C++


def assignments(message: Layout) -> str:
    """Statements that give the struct ``message`` its values."""
    return "\n".join(line for field in message.fields for line in assigned(field, getattr(message, field.name)))


def assigned(field: Field, value: Any) -> list[str]:
    place = f"message.{field.name}"
    if field.kind == "scalar":
        return [f"{place} = {literal(field, value)};"]
    if field.kind == "text":
        return [f"{place}[{at}] = '\\x{byte:02x}';" for at, byte in enumerate([*value.encode(), 0])]
    lines = [f"{place}[{at}] = {literal(field, element)};" for at, element in enumerate(value)]
    return [*lines, f"{place}_count = {len(value)};"] if field.counted else lines


def literal(field: Field, value: Any) -> str:
    if field.scalar.name == "bool":
        return str(bool(value)).lower()
    if field.scalar.name == "f32":
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        return f"real(0x{bits:08x}u)"
    kind = {"u": "uint", "i": "int"}[field.scalar.name[0]] + f"{8 * field.scalar.size}_t"
    return f"static_cast<{kind}>(0x{value % (1 << 8 * field.scalar.size):x}ull)"
