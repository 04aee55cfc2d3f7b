"""The fenced code blocks of the project's pages, and how each is put to the test.

A comment in front of a block steers it; readers do not see it::

    <!-- test: blocks -->            it serves until it is interrupted: started, seen to be up, interrupted (Ctrl-C)
    <!-- test: with above -->        the nearest block above that `blocks` runs meanwhile
    <!-- test: continues -->         the Python block above, and what that continues, runs first, in the same program
    <!-- test: raises ValueError --> it ends with this error
    <!-- test: prints -->            a text block: what the block above prints
    <!-- test: needs socat -->       skipped where the program is missing; `needs board` is never run
    <!-- test: board companion -->   a virtual board runs beside it, with the companion firmware
    <!-- test: board sketch -->      with the nearest sketch above; each sketch (C++ that has a setup) is compiled
    <!-- test: skip why -->          not run, for this reason

Several stand in one comment, between commas: ``<!-- test: with above, blocks -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

DIRECTIVES = ("blocks", "with", "continues", "raises", "prints", "needs", "board", "skip")
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
COMMENT = re.compile(r"^ *<!-- *test: *(?P<text>.*?) *-->$")


class BadMarkup(Exception):
    """A page is written in a way that its blocks cannot be tested; the text says where."""


@dataclass
class Block:
    page: str  # as in README.md or docs/cli.md
    line: int  # of its first line of code
    language: str
    code: str
    directives: dict[str, str] = field(default_factory=dict)
    above: Block | None = None  # on the same page

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def nearest_above(self, directive: str) -> Block:
        block = self.above
        while block is not None and directive not in block.directives:
            block = block.above
        if block is None:
            raise BadMarkup(f"{self.place}: no block above is marked {directive!r}")
        return block

    def program(self) -> str:
        """Its code after that of the blocks that it continues, each on the lines where it stands in the page."""
        before = ""
        if "continues" in self.directives:
            block = self.above
            while block is not None and block.language != self.language:
                block = block.above
            if block is None:
                raise BadMarkup(f"{self.place}: there is no {self.language} block above to continue")
            before = block.program()
        gap = self.line - 1 - before.count("\n")
        return before + "\n" * gap + self.code


def read_page(path: Path, name: str) -> list[Block]:
    return list(parse(path.read_text(encoding="utf-8"), name))


def parse(text: str, page: str) -> Iterable[Block]:
    """Every fenced block of a page, in order."""
    lines = iter(enumerate(text.splitlines(), 1))
    directives: dict[str, str] = {}
    above = None
    for number, line in lines:
        comment, fence = COMMENT.match(line), FENCE.match(line)
        if comment:
            directives = {**directives, **read_directives(comment["text"], f"{page}:{number}")}
        elif fence:
            code = read_code(lines, fence, f"{page}:{number}")
            language = fence["info"].split()[0].lower() if fence["info"].strip() else ""
            above = Block(page, number + 1, language, code, directives, above)
            directives = {}
            yield above
        elif line.strip() and directives:
            raise BadMarkup(f"{page}:{number}: a test comment stands directly in front of its block")
    if directives:
        raise BadMarkup(f"{page}: the last test comment has no block")


def read_code(lines: Iterable[tuple[int, str]], fence: re.Match[str], place: str) -> str:
    mark, indent = fence["fence"], len(fence["indent"])
    code = []
    for _, line in lines:
        bare = line.strip()
        if bare and bare == bare[0] * len(bare) and bare.startswith(mark):
            return "".join(code)
        code.append((line[indent:] if not line[:indent].strip() else line) + "\n")
    raise BadMarkup(f"{place}: this fence is never closed")


def read_directives(text: str, place: str) -> dict[str, str]:
    if text.startswith("skip"):
        reason = text.partition(" ")[2].strip()
        if not reason:
            raise BadMarkup(f"{place}: skip says why")
        return {"skip": reason}
    found = {}
    for part in text.split(","):
        name, _, argument = part.strip().partition(" ")
        if name not in DIRECTIVES:
            raise BadMarkup(f"{place}: no directive {name!r}; there are {', '.join(DIRECTIVES)}")
        found[name] = argument.strip()
    return found


def commands_of(console: str) -> list[str]:
    """The commands of a console block: what follows ``$``, with its continuation lines; the rest is what they print."""
    commands: list[str] = []
    open_line = False
    for line in console.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif open_line:
            commands[-1] += "\n" + line.removeprefix("> ")
        else:
            continue
        open_line = commands[-1].endswith("\\")
    return commands
