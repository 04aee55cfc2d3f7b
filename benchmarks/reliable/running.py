"""The programs of :mod:`.program`, as the parent starts them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from leadscomm.cli.benchkit.processes import Child

PATIENCE_S: Final = 60.0
Wrap = Callable[..., Sequence[str]]
"""Makes of a command one that runs somewhere else."""


def here(*command: str) -> Sequence[str]:
    return command


@contextmanager
def program(role: str, *words: str, wrap: Wrap = here) -> Iterator[Child]:
    command = wrap(sys.executable, "-m", "benchmarks.reliable.program", role, *words)
    with Child(command, PATIENCE_S) as child:
        yield child


@contextmanager
def serving(url: str, wrap: Wrap = here) -> Iterator[tuple[Child, str]]:
    """A server, and where it listens."""
    with program("server", url, wrap=wrap) as child:
        yield child, child.hear()["address"]


def ask(server: Child, what: str, **about: Any) -> dict[str, Any]:
    server.say(ask=what, **about)
    return server.hear()
