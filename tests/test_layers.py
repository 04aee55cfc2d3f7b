"""Imports point down, protocol code touches no world, and no file or function grows too long: every file is parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.layers import FLOORS, MAX_FILE_LINES, MAX_FUNCTION_LINES, RULES, Import, Sources, module_of

ROOT = Path(__file__).resolve().parent.parent
Rule = Callable[[Sources], Iterator[str]]


@pytest.fixture(scope="module")
def package() -> Sources:
    return Sources.read(ROOT, "leadscomm/**/*.py")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house(package: Sources, rule: Rule) -> None:
    broken = list(rule(package))
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize("rule", [Sources.long_files, Sources.long_functions], ids=lambda rule: rule.__name__)
def test_what_stands_around_the_house(rule: Rule) -> None:
    around = ("dev", "tools/*.py", "benchmarks/**/*.py", "examples/**/*.py", "tests/*.py", "tests/docs/*.py")
    broken = list(rule(Sources.read(ROOT, *around)))
    assert not broken, "\n" + "\n".join(broken)


def test_the_package_is_really_read(package: Sources) -> None:
    assert {"leadscomm", "leadscomm.errors", "leadscomm.protocol"} <= set(package.trees)


# The rules themselves


def broken_by(rule: Rule, **files: str) -> list[str]:
    """What `rule` says of these files; `protocol__crc=` is leadscomm/protocol/crc.py, empty modules stand around."""
    house = dict.fromkeys(("__init__", "errors", "api", *(f"{room}/__init__" for room in ROOMS)), "")
    house.update((name.replace("__", "/", 1), text) for name, text in files.items())
    return list(rule(Sources({f"leadscomm/{name}.py": text for name, text in house.items()})))


ROOMS = ("protocol", "connections", "entities", "cli")


def test_downward_is_allowed() -> None:
    files = {
        "protocol__crc": "from leadscomm.errors import CommError",
        "connections__tcp": "from leadscomm.protocol import crc\nfrom .base import ConnectionBase\nimport socket",
        "connections__base": "from ..protocol.crc import Crc",
        "entities__server": "from leadscomm.connections import endpoint",
        "connections__endpoint": "",
        "api": "from leadscomm.entities.server import Server",
        "cli__main": "import leadscomm\nimport leadscomm.api",
    }
    for rule in RULES:
        assert broken_by(rule, **files) == [], rule.__name__


@pytest.mark.parametrize(
    "statement",
    [
        "from leadscomm.connections.tcp import x",
        "import leadscomm.connections.tcp",
        "import leadscomm.connections.tcp as tcp",
        "from leadscomm.connections import tcp",
        "from leadscomm import connections",
        "from leadscomm import Server",
        "import leadscomm",
        "from ..connections import tcp",
        "from .. import api",
        "if TYPE_CHECKING:\n    from leadscomm.connections.tcp import x",
        "def f():\n    from leadscomm.connections.tcp import x",
        "importlib.import_module('leadscomm.connections.tcp')",
        "class C:\n    def f(self):\n        return __import__('leadscomm.api')",
    ],
)
def test_every_way_of_importing_upward_is_seen(statement: str) -> None:
    (said,) = broken_by(Sources.upward_imports, protocol__crc=statement, connections__tcp="")
    assert said.startswith("leadscomm/protocol/crc.py:")
    assert "imports point down" in said


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("connections__base", "from leadscomm.connections.endpoint import x"),
        ("connections__base", "from leadscomm.connections import x"),
        ("connections__base", "from .endpoint import Endpoint"),
        ("entities__service", "from leadscomm.entities.callback import Callback"),
        ("entities__callback", "from leadscomm.entities import entity"),
        ("entities__entity", "def f():\n    from leadscomm.entities.server import Server"),
        ("entities__server", "from leadscomm.entities.node import Node"),
    ],
)
def test_steps_within_a_floor(importer: str, statement: str) -> None:
    around = dict.fromkeys(("connections__tcp", "connections__endpoint", "entities__entity", "entities__callback"), "")
    assert len(broken_by(Sources.steps_upward, **{**around, importer: statement})) == 1


@pytest.mark.parametrize("module", ["socket", "threading", "time", "random", "logging", "os", "os.path", "asyncio"])
@pytest.mark.parametrize("form", ["import {}", "from {} import x", "def f():\n    import {} as y"])
def test_protocol_touches_no_world(module: str, form: str) -> None:
    statement = form.format(module)
    assert len(broken_by(Sources.worldly, protocol__framing=statement, connections__tcp=statement)) == 1
    assert broken_by(Sources.worldly, broker__router=statement, broker__broker=statement) != []


def test_circles_are_found_once() -> None:
    (said,) = broken_by(
        Sources.circles,
        entities__a="from leadscomm.entities.b import x",
        entities__b="def f():\n    from leadscomm.entities import c",
        entities__c="if TYPE_CHECKING:\n    from . import a",
    )
    assert "entities.a -> leadscomm.entities.b -> leadscomm.entities.c -> leadscomm.entities.a" in said


def test_the_table_of_transports_is_no_circle() -> None:
    lazy = "def table():\n    from leadscomm.connections import helper"
    eager = "from leadscomm.connections import helper"
    back = "from leadscomm.connections.endpoint import Endpoint"
    assert broken_by(Sources.circles, connections__endpoint=lazy, connections__helper=back) == []
    assert len(broken_by(Sources.circles, connections__endpoint=eager, connections__helper=back)) == 1


@pytest.mark.parametrize("line", ["x = 1", "def f(): pass", "class C: pass", "print(1)", "if DEBUG:\n    import a"])
def test_an_init_only_hands_names_on(line: str) -> None:
    assert len(broken_by(Sources.busy_inits, protocol____init__=line)) == 1
    fine = '"""Doc."""\nfrom __future__ import annotations\nfrom .crc import crc as crc\n__all__ = ["crc"]\n'
    assert broken_by(Sources.busy_inits, protocol____init__=fine + "if TYPE_CHECKING:\n    from .crc import Crc") == []


def test_one_door_is_lazy() -> None:
    door = "if not TYPE_CHECKING:\n    def __getattr__(name): ...\n    def __dir__(): ...\n"
    for path, text, broken in (
        ("leadscomm/__init__.py", door, 0),
        ("leadscomm/__init__.py", door + "    x = 1\n", 1),
        ("leadscomm/protocol/__init__.py", door, 1),
    ):
        assert len(list(Sources.busy_inits(Sources({path: text})))) == broken


def test_length_of_files_and_functions() -> None:
    assert broken_by(Sources.long_files, errors="x = 1\n" * MAX_FILE_LINES) == []
    assert len(broken_by(Sources.long_files, errors="x = 1\n" * (MAX_FILE_LINES + 1))) == 1
    body = "    x = 1\n"
    assert broken_by(Sources.long_functions, errors="def f():\n" + body * (MAX_FUNCTION_LINES - 1)) == []
    assert len(broken_by(Sources.long_functions, errors="async def f():\n" + body * MAX_FUNCTION_LINES)) == 1


def test_a_room_without_a_floor() -> None:
    assert len(broken_by(Sources.without_floor, util="", attic__trunk="")) == 2


def test_names() -> None:
    assert module_of("leadscomm/cli/__init__.py") == "leadscomm.cli"
    assert min(FLOORS.values()) == 1
    (found,) = Sources({"leadscomm/a.py": "def f(): import b.c"}).imports()
    assert found == Import("leadscomm.a", "b.c", 1, lazy=True)
