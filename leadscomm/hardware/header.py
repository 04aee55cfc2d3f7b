"""The C++ header of layouts: the same messages for the sketch on the board.

``python -m leadscomm.hardware.header my_messages > my_messages.h`` writes the header of all layouts of a module.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Final, TypeAlias

from leadscomm.hardware.board.layout import MOST, Field, Layout

Declared: TypeAlias = type[Layout] | type[enum.IntEnum]
_TYPES: Final = {
    "bool": "bool",
    **{f"{sign}{bits}": f"{kind}{bits}_t" for sign, kind in (("u", "uint"), ("i", "int")) for bits in (8, 16, 32, 64)},
    "f32": "float",
}
_WIDTH: Final = 108


def header(*declarations: Declared, source: str = "leadscomm.hardware.header") -> str:
    """The text of a header with a struct for each layout, and an ``enum class`` of bytes for each ``IntEnum``; it wants
    the Arduino library LeadsComm, and C++11.

    :param source: what wrote it, for the first line.
    :raises TypeError: two fields of a layout have one name in C++.
    """
    lines = [f"// Written by {source}; change it there.", "#pragma once", "", "#include <leadscomm/layout.h>", ""]
    for declared in declarations:
        lines += [*(_enum(declared) if issubclass(declared, enum.IntEnum) else _struct(declared)), ""]
    return "\n".join(lines)


def declared_in(module: ModuleType) -> list[Declared]:
    """The layouts and enumerations of a module, in the order of its text, but for layouts without a number that only
    others are made from."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    found = [value for value in own if inspect.isclass(value) and issubclass(value, (Layout, enum.IntEnum))]
    return [value for value in found if not (issubclass(value, Layout) and _only_base(value))]


def _only_base(layout: type[Layout]) -> bool:
    return layout.number is None and bool(layout.__subclasses__())


def _enum(values: type[enum.IntEnum]) -> Iterator[str]:
    yield from _comment(values)
    members = ", ".join(
        f"{name.title().replace('_', '')} = {value.value}" for name, value in values.__members__.items()
    )
    yield f"enum class {values.__name__} : uint8_t {{ {members} }};"


def _comment(declared: Declared) -> Iterator[str]:
    for line in (inspect.getdoc(declared) or "").splitlines():
        yield f"/// {line}".rstrip()


def _struct(layout: type[Layout]) -> Iterator[str]:
    members = [member for field in layout.fields for member in _members(field)]
    names = [name for _, name, _, _ in members]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TypeError(f"{layout.__name__}: two fields are called {twice.pop()} in C++")
    yield from _comment(layout)
    yield f"struct {layout.__name__} {{"
    if layout.number is not None:
        yield f"  static constexpr uint8_t NUMBER = 0x{layout.number:02x};"
    yield f"  static constexpr uint16_t LONGEST = {layout.longest};  ///< bytes on the wire at most"
    yield ""
    for kind, name, size, comment in members:
        yield f"  {kind} {name}{size};" + (f"  ///< {comment}" if comment else "")
    yield ""
    yield from _method("write(leadscomm::Writer &out) const", "out", _writing(layout), "out.ok()")
    yield ""
    yield from _method("read(leadscomm::Reader &in)", "in", _reading(layout), "in.ok() && in.left() == 0")
    yield "};"


def _members(field: Field) -> Iterator[tuple[str, str, str, str]]:
    """The members of a struct for a field: type, name, array, comment."""
    kind = _TYPES[field.scalar.name]
    if field.kind == "scalar":
        yield kind, field.name, "", field.comment
    elif field.kind == "text":
        yield "char", field.name, f"[{field.most} + 1]", field.comment or "ends with a zero"
    else:
        if field.counted:
            yield "uint8_t", _count(field), "", f"how many of {field.name} there are"
        yield kind, field.name, f"[{field.most}]", field.comment


def _count(field: Field) -> str:
    """How many elements there are, in C++."""
    return f"{field.name}_count" if field.counted else str(field.most)


def _method(head: str, through: str, steps: Iterable[str], result: str) -> Iterator[str]:
    """A method of its steps: those that begin with a dot are calls of ``through``, and follow each other in one
    statement."""
    yield f"  bool {head} {{"
    for dotted, group in itertools.groupby(steps, lambda step: step.startswith(".")):
        if dotted:
            calls = textwrap.wrap(" ".join(f"{call}" for call in group), _WIDTH, break_long_words=False)
            yield f"    {through}" + "\n        ".join(calls).replace(" .", ".") + ";"
        else:
            yield from (f"    {step}" for step in group)
    yield f"    return {result};"
    yield "  }"


def _writing(layout: type[Layout]) -> Iterator[str]:
    if layout.number is not None:
        yield ".u8(NUMBER)"
    for field in layout.fields:
        name, count = field.name, _count(field)
        if field.kind == "text":
            yield f"const size_t {count} = strlen({name});"
        if field.counted:
            yield from _bound(field)
            yield f".u8({count})"
        if field.kind == "scalar":
            yield f".{_plain(field)}({name})"
        elif field.scalar.name == "bool":
            yield f"for (uint8_t i = 0; i < {count}; ++i) out.u8({name}[i]);"
        else:
            yield f".{'array' if field.kind == 'list' else 'bytes'}({name}, {count})"


def _reading(layout: type[Layout]) -> Iterator[str]:
    if layout.number is not None:
        yield "if (in.u8() != NUMBER) return false;"
    for field in layout.fields:
        name, count = field.name, _count(field)
        if field.counted:
            yield f"const size_t {count} = in.u8();" if field.kind == "text" else f".u8({count})"
            yield from _bound(field)
        if field.kind == "scalar":
            yield f"{name} = in.u8() != 0;" if field.scalar.name == "bool" else f".{field.scalar.name}({name})"
        elif field.scalar.name == "bool":
            yield f"for (uint8_t i = 0; i < {count}; ++i) {name}[i] = in.u8() != 0;"
        else:
            yield f".{'array' if field.kind == 'list' else 'bytes'}({name}, {count})"
        if field.kind == "text":
            yield f"{name}[{count}] = 0;"


def _bound(field: Field) -> Iterator[str]:
    if field.most < MOST or field.kind == "text":  # compilers warn of a comparison that is always true
        yield f"if ({_count(field)} > {field.most}) return false;"


def _plain(field: Field) -> str:
    return "u8" if field.scalar.name == "bool" else field.scalar.name


def main() -> None:
    """Write the header of the layouts of the module that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m leadscomm.hardware.header MODULE > HEADER")
    name = sys.argv[1]
    declarations = declared_in(importlib.import_module(name))
    if not declarations:
        sys.exit(f"{name} declares no layouts")
    print(header(*declarations, source=f"python -m leadscomm.hardware.header {name}"), end="")


if __name__ == "__main__":
    main()
