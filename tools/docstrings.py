"""Fits the project's docstrings to the Python reference among the pages: an extension of griffe, named in mkdocs.yml.

griffe reads the source and understands ``:param:`` and the like by itself. Here Sphinx's roles, such as
``:meth:`send```, and the errors of ``:raises:`` become links, the ``::`` in front of code goes, and a method that says
nothing of itself says what its base says.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|attr|data|mod):`(?P<short>~?)(?P<target>[\w.]+)`")
CODE_FOLLOWS = re.compile(r"(?P<text>^|\S):: *$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites the docstrings of a package once all of it was read."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        everything = list(objects(pkg))
        for obj in everything:
            if obj.docstring is not None:
                obj.docstring.value = markdown(obj.docstring.value, obj)
                link_errors(obj.docstring)
        for obj in everything:
            if obj.docstring is None and isinstance(obj.parent, griffe.Class):
                obj.docstring = inherited(obj, obj.parent)


def objects(module: griffe.Module | griffe.Class) -> Iterator[griffe.Object]:
    """What is defined in a module, and it itself; not what it imports."""
    yield module
    for member in module.members.values():
        if isinstance(member, (griffe.Module, griffe.Class)):
            yield from objects(member)
        elif isinstance(member, griffe.Object):
            yield member


def inherited(obj: griffe.Object, owner: griffe.Class) -> griffe.Docstring | None:
    """What the nearest base says of this member."""
    for base in owner.mro():
        found = base.members.get(obj.name)
        if found is not None and found.docstring is not None:
            return found.docstring
    return None


def link_errors(docstring: griffe.Docstring) -> None:
    """Have ``:raises`` name classes; griffe takes them for text."""
    for section in docstring.parsed:
        if isinstance(section, griffe.DocstringSectionRaises):
            for error in section.value:
                error.annotation = griffe.parse_docstring_annotation(str(error.annotation), docstring)


def markdown(text: str, obj: griffe.Object) -> str:
    """The docstring of an object as Markdown."""
    text = ROLE.sub(partial(_link, obj), text)
    return CODE_FOLLOWS.sub(lambda found: f"{found['text']}:" if found["text"] else "", text)


def _link(obj: griffe.Object, role: re.Match[str]) -> str:
    """A link to what a role names; plain code where the pages say nothing of it."""
    target = role["target"]
    shown = target.rpartition(".")[2] if role["short"] else target
    return f'<autoref identifier="{_path(target, obj)}" optional><code>{shown}</code></autoref>'


def _path(target: str, obj: griffe.Object) -> str:
    """The path of a name as it is understood where it stands: in a class, with its bases, or in a module."""
    first, _, rest = target.partition(".")
    scope: griffe.Object | None = obj
    while scope is not None:
        found = scope.all_members.get(first)
        if found is not None:
            with contextlib.suppress(griffe.AliasResolutionError):  # it is of another package
                return ".".join(filter(None, (found.canonical_path, rest)))
        scope = scope.parent
    return target
