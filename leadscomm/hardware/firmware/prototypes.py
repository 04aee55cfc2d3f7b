"""Declarations for functions that a sketch calls above their definitions, as the Arduino tools write them.

No compiler is asked: the text is cut into what stands outside of all braces, and heads of functions are told by their
form. Each function that is named above its definition is declared in front of what names it first. Not found are
members, functions within a namespace, and those that a macro makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_USE: Final = re.compile(r"(?<!\w)(?P<before>(?:\.|->|\w\s*::)\s*)?(?P<name>[A-Za-z_]\w*)")
_MARK: Final = re.compile(r"[{};]")
_CONDITION: Final = re.compile(r"#\s*(if|el|endif)")
_DEFINE: Final = re.compile(r"#\s*define\s+\w+(.*)", re.DOTALL)
_LINKAGE: Final = re.compile(r'extern\s*"C"\s*$')
_COMMENT: Final = re.compile(
    r"//(?:[^\\\n]|\\.|\\\n)*|/\*.*?\*/|(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)+')", re.DOTALL
)
_TYPE: Final = re.compile(r"\s*(?P<kind>typedef|struct|class|union|enum|using)\b")
_NAMED: Final = re.compile(
    r"\s*(?:struct|class|union|enum(?:\s+(?:class|struct))?|using|namespace)\s+(?P<name>[A-Za-z_]\w*)"
)
_SPACE: Final = re.compile(r"\s*(?P<kind>namespace)\b")
_TEMPLATE: Final = re.compile(r"\s*template\s*<")
# What may stand in front of a parameter list, or behind it, and has parentheses of its own.
_BRACKETED: Final = re.compile(r"__attribute__\s*\(|\[\[|decltype\s*\(|noexcept\s*\(|alignas\s*\(")
_PARAMETERS: Final = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*\(")
_RETURNS_FUNCTION: Final = re.compile(r"\(\s*[*&]\s*(?P<name>[A-Za-z_]\w*)\s*\(")
_BEHIND: Final = re.compile(r"\s*(?:noexcept\b\s*)?(?:->[^=]*)?")
_NO_RESULT: Final = frozenset("else return typedef using namespace operator new delete case goto public friend".split())
_NO_NAME: Final = frozenset("if while for switch return sizeof catch operator int char void".split())
_PLACES: Final = frozenset("static inline extern constexpr virtual".split())


@dataclass(frozen=True)
class _Branch:
    """One level of ``#if``: its lines up to the branch, and where its ``#if`` is."""

    begin: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Statement:
    """What stands outside of all braces, but for those of ``extern "C"``.

    :ivar place: in front of which something may be put for it.
    :ivar mark: where its ``{`` or ``;`` is; ``end`` is behind the matching ``}``.
    """

    place: int
    start: int
    mark: int
    end: int
    braced: bool
    linkage: str
    branches: tuple[_Branch, ...]


@dataclass(frozen=True)
class _Head:
    """Of a function: where its name is, and its parameters without their parentheses."""

    statement: _Statement
    name: str
    at: int
    parameters: tuple[int, int]
    defaults: tuple[tuple[int, int], ...]
    count: int


@dataclass
class _Scan:
    """Cuts a text into statements. An ``#else`` begins where its ``#if`` did: in braces as deep as there."""

    code: str
    whole: str
    directives: Mapping[int, str]
    depth: int = 0
    begin: int = 0
    linkages: list[int] = field(default_factory=list)
    branches: list[_Branch] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)

    def statements(self) -> list[_Statement]:
        return sorted(self._found(), key=lambda statement: statement.start)

    def _found(self) -> Iterator[_Statement]:
        marks: list[tuple[int, str]] = [(at, line) for at, line in self.directives.items() if _CONDITION.match(line)]
        marks += [(found.start(), found[0]) for found in _MARK.finditer(self.code)]
        open_: _Statement | None = None
        for at, mark in sorted(marks):
            if mark[0] == "#":
                self._direct(at, mark)
            elif mark == "{":
                if self.depth == 0 and self._opens_linkage(at):
                    self.begin = at + 1
                    continue
                open_ = open_ or self._statement(at, True)
                self.depth += 1
            elif mark == "}":
                if self.depth == 0 and self.linkages:
                    self.linkages.pop()
                    self.begin = at + 1
                self.depth = max(0, self.depth - 1)
                if self.depth == 0 and open_ and not self._goes_on(open_):
                    self.begin = at + 1
                    yield replace(open_, end=at + 1)
                    open_ = None
            elif self.depth == 0:
                yield replace(open_, end=at + 1) if open_ else self._statement(at, False)
                self.begin = at + 1
                open_ = None

    def _statement(self, mark: int, braced: bool) -> _Statement:
        start = mark - len(self.code[self.begin : mark].lstrip())
        linkage = 'extern "C" ' if self.linkages else ""
        place = self.linkages[0] if self.linkages else start
        return _Statement(place, start, mark, mark + 1, braced, linkage, tuple(self.branches))

    def _goes_on(self, statement: _Statement) -> bool:
        """Whether a ``;`` ends it, not its ``}``: a type, and variables with values."""
        head = self.code[statement.start : statement.mark].rstrip()
        return head.endswith("=") or (_TYPE.match(head) is not None and not head.endswith(")"))

    def _opens_linkage(self, at: int) -> bool:
        if found := _LINKAGE.search(self.whole, self.begin, at):
            self.linkages.append(found.start())
        return found is not None

    def _direct(self, at: int, line: str) -> None:
        kind = _CONDITION.match(line)
        assert kind
        if kind[1] == "if":
            self.branches.append(_Branch(at, (line,)))
            self.depths.append(self.depth)
        elif self.branches and kind[1] == "el":
            self.depth = self.depths[-1]
            self.branches[-1] = _Branch(self.branches[-1].begin, (*self.branches[-1].lines, line))
        elif self.branches:
            self.branches.pop()
            self.depths.pop()
        if self.depth == 0:
            self.begin = max(self.begin, at)


def declare(whole: str, code: str, directives: Mapping[int, str]) -> tuple[dict[int, list[str]], list[tuple[int, int]]]:
    """The lines to put in, by where, and what is to become blanks: default arguments that moved to a declaration.

    :param code: the text with blanks for comments, strings and what the preprocessor reads.
    :param directives: the latter, by where it stands.
    """
    statements = _Scan(code, whole, directives).statements()
    heads = [head for statement in statements if (head := _head(code, statement))]
    written = {(head.name, head.count) for head in heads if not head.statement.braced}
    defined = [head for head in heads if head.statement.braced and (head.name, head.count) not in written]
    users = _users(code, statements, {head.name for head in defined}, directives)
    types = _types(code, statements)
    added: dict[int, list[str]] = {}
    blanked: list[tuple[int, int]] = []
    for head in defined:
        places = [_late_enough(code, head, user, statements, types) for user in users.get(head.name, ())]
        chosen = _visible([place for place in places if place.place < head.statement.place], head)
        for number, (place, branches) in enumerate(chosen):
            lines = [*_forward(code, head, place, types), _declaration(whole, head, defaults=number == 0)]
            for branch in reversed(branches):
                lines = [*branch.lines, *lines, "#endif"]
            added.setdefault(place.place, []).extend(lines)
        blanked += head.defaults if chosen else ()
    return added, blanked


# Heads ---------------------------------------------------------------------------------------------------------------


def _head(code: str, statement: _Statement) -> _Head | None:
    """What the statement says of a function, if that is what it defines or declares."""
    begin = statement.start
    if template := _TEMPLATE.match(code, begin, statement.mark):
        begin = _behind(code, template.end() - 1, statement.mark)
        if "=" in code[template.end() : begin]:
            return None  # its parameters have defaults, which may be given once
    text = _hide(code[:begin], code[begin : statement.mark])
    found = _RETURNS_FUNCTION.search(text, begin) or _PARAMETERS.search(text, begin)
    if not found or found["name"] in _NO_NAME:
        return None
    result = text[begin : found.start()]
    words = set(_WORD.findall(result))
    end = _behind(text, found.end() - 1, len(text))
    rest = text[end:]
    if found.re is _RETURNS_FUNCTION:
        rest = re.sub(r"^\s*\)\s*\([^()]*\)", "", rest)
    is_plain = words - _PLACES and not words & _NO_RESULT and not re.search(r"::\s*$|=|(?<!:):(?!:)|[;)\]]", result)
    if not is_plain or not _BEHIND.fullmatch(rest):
        return None
    cuts = list(_cuts(text, found.end(), end - 1))
    defaults = tuple((at, to) for begin, to in cuts if (at := text.find("=", begin, to)) >= 0)
    count = len([1 for begin, to in cuts if text[begin:to].strip() not in ("", "void")])
    return _Head(statement, found["name"], found.start("name"), (found.end(), end - 1), defaults, count)


def _hide(before: str, head: str) -> str:
    """A head with blanks for attributes and the like, in its place."""
    text = before + head
    at = len(before)
    while found := _BRACKETED.search(text, at):
        opening = text.index("[" if found[0] == "[[" else "(", found.start())
        end = _behind(text, opening, len(text))
        keep = "auto" if found[0].startswith("decltype") else ""
        text = text[: found.start()] + keep + " " * (end - found.start() - len(keep)) + text[end:]
        at = end
    return text


def _behind(code: str, at: int, end: int) -> int:
    """Behind the bracket that closes the one at ``at``."""
    opening, depth = code[at], 0
    closing = {"(": ")", "<": ">", "[": "]"}[opening]
    for place in range(at, end):
        depth += (code[place] == opening) - (code[place] == closing)
        if depth == 0:
            return place + 1
    return end


def _cuts(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where each parameter begins and ends."""
    depth = 0
    for at in range(begin, end):
        depth += (text[at] in "(<[{") - (text[at] in ")>]}")
        if text[at] == "," and depth == 0:
            yield begin, at
            begin = at + 1
    yield begin, end


def _declaration(whole: str, head: _Head, defaults: bool) -> str:
    end = head.statement.mark
    text = "".join(
        " " if not defaults and any(start <= at < to for start, to in head.defaults) else whole[at]
        for at in range(head.statement.start, end)
    )
    return head.statement.linkage + " ".join(_COMMENT.sub(lambda found: found[1] or " ", text).split()) + ";"


# Uses ----------------------------------------------------------------------------------------------------------------


def _users(
    code: str, statements: Sequence[_Statement], names: set[str], directives: Mapping[int, str]
) -> dict[str, list[_Statement]]:
    """Which statements name these functions, beside defining them; those behind a macro that does so, too."""
    users: dict[str, list[_Statement]] = {}
    macros = [(at, set(_WORD.findall(found[1]))) for at, line in directives.items() if (found := _DEFINE.match(line))]
    for statement in statements:
        named = {name for at, body in macros if at < statement.start for name in names & body if statement.braced}
        head = _head(code, statement)
        named |= names & set(_named(code, statement, head.at if head else -1))
        for name in named:
            users.setdefault(name, []).append(statement)
    return users


def _named(code: str, statement: _Statement, own: int) -> Iterator[str]:
    """What is named in a statement, but not what its members and those of a namespace are called."""
    within = 2 if (_TYPE.match(code, statement.start) and own < 0) or _SPACE.match(code, statement.start) else 0
    depth, last = 0, statement.start
    for use in _USE.finditer(code, statement.start, statement.end):
        depth += code.count("{", last, use.start()) - code.count("}", last, use.start())
        last = use.start()
        if not use["before"] and depth >= within and use.start("name") != own:
            yield use["name"]


def _visible(places: Sequence[_Statement], head: _Head) -> list[tuple[_Statement, tuple[_Branch, ...]]]:
    """The places that need a declaration of their own, and the ``#if`` that each has to have around it."""
    chosen: list[tuple[_Statement, tuple[_Branch, ...]]] = []
    for place in places:
        there, here = place.branches, head.statement.branches
        common = 0
        while common < min(len(there), len(here)) and there[common] == here[common]:
            common += 1
        apart = common < min(len(there), len(here)) and there[common].begin == here[common].begin
        seen = any(place.branches[: len(other.branches)] == other.branches for other, _ in chosen)
        if not apart and not seen:
            chosen.append((place, here[common:]))
    return chosen


# Types ---------------------------------------------------------------------------------------------------------------


def _types(code: str, statements: Sequence[_Statement]) -> dict[str, tuple[str, _Statement]]:
    """Types that the text defines: what each is called, how, and where."""
    types: dict[str, tuple[str, _Statement]] = {}
    for statement in statements:
        kind = _TYPE.match(code, statement.start, statement.mark) or _SPACE.match(code, statement.start, statement.mark)
        if not kind or code[statement.start : statement.mark].rstrip().endswith(")"):
            continue
        named = _NAMED.match(code, statement.start, statement.mark)
        names = [named["name"]] if named and (statement.braced or kind["kind"] in ("using", "namespace")) else []
        if kind["kind"] == "typedef":
            names = _WORD.findall(code, statement.start, statement.end)[-1:]
        for name in names:
            types.setdefault(name, (kind["kind"], statement))
    return types


def _late_enough(
    code: str,
    head: _Head,
    user: _Statement,
    statements: Sequence[_Statement],
    types: Mapping[str, tuple[str, _Statement]],
) -> _Statement:
    """Where a declaration for ``user`` may stand: behind the types in it that cannot be announced."""
    late = [
        types[name][1].start
        for name, scoped in _mentioned(code, head)
        if name in types and (types[name][0] not in ("struct", "class", "union") or scoped)
    ]
    behind = [statement for statement in statements if statement.start > max(late, default=-1)]
    return user if user.start > max(late, default=-1) else behind[0] if behind else user


def _forward(code: str, head: _Head, place: _Statement, types: Mapping[str, tuple[str, _Statement]]) -> list[str]:
    """Classes in the declaration that are defined at its place, or behind it, announced."""
    found = [
        f"{types[name][0]} {name};"
        for name, _ in _mentioned(code, head)
        if name in types and types[name][0] in ("struct", "class", "union") and types[name][1].start >= place.start
    ]
    return list(dict.fromkeys(found))


def _mentioned(code: str, head: _Head) -> list[tuple[str, bool]]:
    """The words of a head, and whether something is looked up within each."""
    words = _WORD.finditer(code, head.statement.start, head.statement.mark)
    return [(word[0], code[word.end() :].lstrip()[:2] == "::") for word in words if word.start() != head.at]
