"""The rules of the house that a parser can hold: read the sources of leadscomm, return what breaks a rule.

`Sources({"leadscomm/errors.py": "...", ...})` holds the text of files by path; each rule is a method that yields
sentences of the form "path:line: what is wrong".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "leadscomm"
MAX_FILE_LINES = 449
MAX_FUNCTION_LINES = 39

# Imports point down. The longest name that fits a module gives its floor.
FLOORS = {
    "leadscomm.version": 1,
    "leadscomm.errors": 1,
    "leadscomm.log": 1,
    "leadscomm.packages": 1,
    "leadscomm.holders": 1,
    "leadscomm.protocol": 2,
    "leadscomm.connections": 3,
    "leadscomm.journal": 3,
    "leadscomm.sessions": 4,
    "leadscomm.streams": 5,
    "leadscomm.entities": 6,
    "leadscomm.broker": 7,
    "leadscomm.api": 7,
    "leadscomm.homes": 7,
    "leadscomm": 7,  # the door itself: hands names of its floor and of those below on
    "leadscomm.hardware": 8,
    "leadscomm.panel": 8,
    "leadscomm.testing": 8,
    "leadscomm.cli": 9,
    "leadscomm.freezing": 9,
    "leadscomm.__main__": 9,
}
# Steps within a floor; modules that are not named may stand anywhere, as long as nothing turns in a circle.
STEPS = {
    "leadscomm.protocol.session.segments": 1,
    "leadscomm.protocol.session.full.lanes": 2,
    "leadscomm.protocol.session.full.receiving": 3,
    "leadscomm.protocol.session.full.recovery": 3,
    "leadscomm.protocol.session.full.congestion": 4,
    "leadscomm.protocol.session.full.path": 5,
    "leadscomm.protocol.session.full.link": 6,
    "leadscomm.protocol.session.full.joining": 7,
    "leadscomm.protocol.session.full.liveness": 7,
    "leadscomm.protocol.session.full.transmission": 8,
    "leadscomm.protocol.session.full.full": 9,
    "leadscomm.connections.base": 1,
    "leadscomm.connections.sockets.tcp": 2,
    "leadscomm.connections.sockets.tls": 2,
    "leadscomm.connections.sockets.unix": 2,
    "leadscomm.connections.udp.client": 2,
    "leadscomm.connections.serial.connection": 2,
    "leadscomm.connections.sockets.loop": 2,
    "leadscomm.sessions.board": 2,
    "leadscomm.connections.faults.connection": 2,
    "leadscomm.connections.faults.faults": 2,
    "leadscomm.connections.endpoint": 3,
    "leadscomm.connections": 5,
    "leadscomm.entities.service": 1,
    "leadscomm.entities.callback": 2,
    "leadscomm.entities.entity": 3,
    "leadscomm.entities.running.acceptor": 4,
    "leadscomm.entities.server": 5,
    "leadscomm.entities.client": 5,
    "leadscomm.entities.node": 6,
    "leadscomm.entities": 7,
}
# The one table of schemes: what endpoint.py imports inside its functions is no part of a circle.
TABLE = "leadscomm.connections.endpoint"
# Code that touches no world: time and randomness are arguments there.
PURE = ("leadscomm.protocol", "leadscomm.broker.router")
WORLD = frozenset(
    "asyncio concurrent logging multiprocessing os queue random sched secrets select selectors serial signal socket "
    "socketserver ssl subprocess threading time uuid _thread".split()
)


@dataclass(frozen=True)
class Import:
    importer: str
    target: str  # the module that is meant, or the whole dotted name where it is not ours
    line: int
    lazy: bool  # inside a function


def module_of(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> int | None:
    """The floor of a module; None if nothing gives it one: a new room must be named in FLOORS."""
    name = module
    while name != PACKAGE:
        if name in FLOORS:
            return FLOORS[name]
        name = name.rpartition(".")[0]
    return FLOORS[PACKAGE] if module == PACKAGE else None


class Sources:
    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts
        self.paths = {module_of(path): path for path in texts}
        self.trees = {module: ast.parse(texts[path], path) for module, path in self.paths.items()}

    @classmethod
    def read(cls, root: Path, *patterns: str) -> Sources:
        files = sorted(file for pattern in patterns for file in root.glob(pattern) if file.is_file())
        return cls({file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files})

    def say(self, module: str, line: int, text: str) -> str:
        return f"{self.paths[module]}:{line}: {text}"

    # imports

    def imports(self) -> Iterator[Import]:
        for module, tree in self.trees.items():
            inside = {id(node) for outer in ast.walk(tree) if is_function(outer) for node in ast.walk(outer)}
            for node in ast.walk(tree):
                for target in self.targets(module, node):
                    yield Import(module, target, getattr(node, "lineno", 1), id(node) in inside)

    def targets(self, module: str, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = self.base_of(module, node)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in self.trees else base
        elif isinstance(node, ast.Call) and called_name(node.func) in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value

    def base_of(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = module if self.paths[module].endswith("__init__.py") else module.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return f"{package}.{node.module}" if node.module else package

    def own_imports(self) -> Iterator[Import]:
        return (found for found in self.imports() if f"{found.target}.".startswith(f"{PACKAGE}."))

    # rules

    def without_floor(self) -> Iterator[str]:
        for module in self.trees:
            if floor_of(module) is None:
                yield self.say(module, 1, f"{module} has no floor: give it one in FLOORS")

    def upward_imports(self) -> Iterator[str]:
        for found in self.own_imports():
            above, below = floor_of(found.importer), floor_of(found.target)
            if above is not None and below is not None and above < below:
                text = f"{found.importer} (floor {above}) imports {found.target} (floor {below}): imports point down"
                yield self.say(found.importer, found.line, text)

    def steps_upward(self) -> Iterator[str]:
        for found in self.own_imports():
            above, below = STEPS.get(found.importer), STEPS.get(found.target)
            same_room = found.importer.split(".")[1:2] == found.target.split(".")[1:2]
            if same_room and above is not None and below is not None and above < below:
                text = f"{found.importer} stands below {found.target}, and may not import it"
                yield self.say(found.importer, found.line, text)

    def worldly(self) -> Iterator[str]:
        for found in self.imports():
            pure = any(f"{found.importer}.".startswith(f"{name}.") for name in PURE)
            if pure and found.target.partition(".")[0] in WORLD:
                yield self.say(found.importer, found.line, f"imports {found.target}: this code touches no world")

    def circles(self) -> Iterator[str]:
        """Each circle once, named from its first module."""
        edges: dict[str, set[str]] = {module: set() for module in self.trees}
        for found in self.own_imports():
            if found.target in edges and not (found.importer == TABLE and found.lazy):
                edges[found.importer].add(found.target)
        seen: set[frozenset[str]] = set()
        for start in sorted(edges):
            circle = circle_through(start, edges)
            if circle and frozenset(circle) not in seen:
                seen.add(frozenset(circle))
                yield self.say(start, 1, "imports turn in a circle: " + " -> ".join([*circle, start]))

    def busy_inits(self) -> Iterator[str]:
        for module, path in self.paths.items():
            if path.endswith("__init__.py"):
                for node in self.trees[module].body:
                    if not (hands_on(node) or (module == PACKAGE and is_lazy_door(node))):
                        yield self.say(module, node.lineno, "an __init__ only hands names on")

    def long_files(self) -> Iterator[str]:
        for module, path in self.paths.items():
            lines = len(self.texts[path].splitlines())
            if lines > MAX_FILE_LINES:
                yield self.say(module, lines, f"{lines} lines, {MAX_FILE_LINES} at most: split it by responsibility")

    def long_functions(self) -> Iterator[str]:
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    if lines > MAX_FUNCTION_LINES:
                        text = f"{node.name} has {lines} lines, {MAX_FUNCTION_LINES} at most"
                        yield self.say(module, node.lineno, text)


RULES = (
    Sources.without_floor,
    Sources.upward_imports,
    Sources.steps_upward,
    Sources.worldly,
    Sources.circles,
    Sources.busy_inits,
    Sources.long_files,
    Sources.long_functions,
)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def called_name(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def circle_through(start: str, edges: dict[str, set[str]]) -> list[str]:
    """The shortest way from `start` back to it, without its end; empty if there is none."""
    ways: list[list[str]] = [[start]]
    seen: set[str] = set()
    for way in ways:  # grows while it is read: breadth first
        for target in sorted(edges[way[-1]]):
            if target == start:
                return way
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def is_lazy_door(node: ast.stmt) -> bool:
    """`__getattr__` and `__dir__` under `if not TYPE_CHECKING`: names that are imported when they are wanted."""
    if not (isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING" and not node.orelse):
        return False
    return [getattr(inner, "name", None) for inner in node.body] == ["__getattr__", "__dir__"]


def hands_on(node: ast.stmt) -> bool:
    """A docstring, an import of names, `__all__`, or imports under TYPE_CHECKING."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [getattr(target, "id", None) for target in targets] == ["__all__"]
    if isinstance(node, ast.If):
        guard = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", None)
        return guard == "TYPE_CHECKING" and not node.orelse and all(map(hands_on, node.body))
    return isinstance(node, (ast.Import, ast.ImportFrom))
