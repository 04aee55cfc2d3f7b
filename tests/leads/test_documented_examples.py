"""Every example of LEADS's documentation runs with nothing but its imports changed.

The documentation is not part of this project; it stands beside it, in ../shared/seeds. What does not need it is in
test_examples.py.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.entities.recorder import PATIENCE_S, wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT.parent / "shared" / "seeds" / "002_492dfe109698a70b.txt"
PROGRAM = Path(__file__).with_name("example_program.py")
EXAMPLES = 11
LEADS_PORT = 16900
IMPORTS = {
    "from leads.comm import": "from leadscomm import",
    "from leads import": "from leadscomm import",
    "from typing import override": "from typing_extensions import override",
}


def examples(page: str) -> list[str]:
    """The page has no marks around its code: an example begins with an import, and goes on for as long as the lines are
    Python. Headings end with a "#"."""
    lines = page.splitlines()
    found = []
    at = 0
    while at < len(lines):
        if not re.match(r"(from|import) ", lines[at]):
            at += 1
            continue
        end = at + 1
        for last in range(at + 1, len(lines) + 1):
            if lines[last - 1].endswith("#"):
                break
            if is_python("\n".join(lines[at:last])):
                end = last
        found.append("\n".join(lines[at:end]) + "\n")
        at = end
    return found


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def with_our_imports(example: str) -> str:
    for theirs, ours in IMPORTS.items():
        example = re.sub(f"(?m)^{re.escape(theirs)}", ours, example)
    return example


@contextlib.contextmanager
def leads_port() -> Iterator[None]:
    """The examples use LEADS's own port, as our own pages do: only one of all test runs on this machine is at it."""
    fcntl = pytest.importorskip("fcntl")
    with open(Path(tempfile.gettempdir()) / "leadscomm-documented-ports.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_until(port_is_free, f"port {LEADS_PORT} was not free: it")
        yield


def port_is_free() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", LEADS_PORT))
        except OSError:
            return False
    return True


def run(example: str) -> tuple[list[str], dict[str, Any]]:
    """The lines that it printed, and what example_program.py says of it."""
    with leads_port():
        done = subprocess.run(
            [sys.executable, str(PROGRAM)],
            input=with_our_imports(example),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=3 * PATIENCE_S,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *printed, summary = done.stdout.splitlines()
    return printed, json.loads(summary)


@pytest.mark.parametrize("number", range(EXAMPLES if PAGE.exists() else 1))
def test_example(number: int, require_tool: Callable[..., None]) -> None:
    require_tool("LEADS's documentation", "put it beside the project, in ../shared/seeds", found=PAGE.exists())
    found = examples(PAGE.read_text(encoding="utf-8"))
    assert len(found) == EXAMPLES
    example = found[number]
    printed, summary = run(example)
    blocks = "start_" in example.rpartition("import")[2] and "parallel" not in example
    sends = "client.send(" in example
    assert summary == {
        "blocks": blocks,
        # start_client has returned because the conversation is over; in LEADS too, sending is then an IOError.
        "raised": ["ConnectionLost True"] if sends else [],
        "made": "Client" if "Client" in example else "Server",
        "ended": True,
    }
    said = [line.rpartition("] ")[2] for line in printed]
    if "MyCallback" in example:
        hello = "hello from the server" if summary["made"] == "Client" else "hello from a client"
        assert said == ["Initialized", "Connected", hello, "Disconnected"]
    else:
        assert said == (["0"] if "num_connections" in example else [])
