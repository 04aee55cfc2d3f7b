"""What the tests of this folder get: a rig of a kind, taken down when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.faults import namespaces
from tests.faults.rigs import NetworkRig, Rig

TRANSPORTS = ["tcp", *(pytest.param(name, marks=pytest.mark.long) for name in ("udp", "serial"))]
"""What most tests are done with; the quick suite takes TCP for all."""


@cache
def trouble() -> str | None:
    return namespaces.trouble()


@pytest.fixture
def need_namespaces(require_tool: Callable[..., None]) -> Callable[[], None]:
    """Skip the test where two hosts cannot be made of network namespaces."""
    return lambda: require_tool(f"network namespaces ({trouble()})", namespaces.MEND, found=trouble() is None)


Lay = Callable[..., Any]


@pytest.fixture
def lay(tmp_path: Path, need_namespaces: Callable[[], None]) -> Iterator[Lay]:
    """``lay(TcpRig, "reliable=1&dead_after=0.5")`` gives a rig that lasts as long as the test."""
    with ExitStack() as stack:

        def laid(kind: type[Rig], *args: str, **options: str) -> Rig:
            if issubclass(kind, NetworkRig):
                need_namespaces()
            return stack.enter_context(kind(tmp_path, *args, **options))

        yield laid
