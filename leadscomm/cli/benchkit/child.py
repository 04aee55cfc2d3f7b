"""The measuring process: its arguments, and its conversation with the parent in lines of JSON.

    python -m benchmarks.peers.raw server oneway size=256 seconds=0.5 [--option=value]

It says what it measured on stdout, and is told what to do next on stdin. When stdin ends it ends: so no measuring
process outlives its parent, however that one ended.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from .peer import Peer
from .works import make_work


class Talk:
    """One end of the conversation, in the child. When the parent hangs up the process ends."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="talk", daemon=True).start()

    def say(self, **facts: Any) -> None:
        self._outgoing.write(json.dumps(facts) + "\n")
        self._outgoing.flush()

    def hear(self) -> dict[str, Any]:
        return self._heard.get()

    def poll(self) -> dict[str, Any] | None:
        """What has been said and not been heard yet, or None; does not wait."""
        try:
            return self._heard.get_nowait()
        except queue.Empty:
            return None

    def _listen(self) -> None:
        for line in self._incoming:
            self._heard.put(json.loads(line))
        os._exit(0)  # a library's threads must not keep the process


def _own_stdout() -> TextIO:
    """Stdout for the conversation alone: what a library prints goes to stderr from here on."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def child_main(make_peer: Callable[..., Peer], argv: list[str] | None = None) -> None:
    """Runs one end of one workload: ``server|client <workload> [name=value ...] [--option=value ...]``."""
    words = sys.argv[1:] if argv is None else argv
    if len(words) < 2 or words[0] not in ("server", "client"):
        raise SystemExit("usage: server|client <workload> [name=value ...] [--option=value ...]")
    options = {name: value or "1" for name, _, value in (w[2:].partition("=") for w in words[2:] if w.startswith("--"))}
    work = make_work(words[1], [w for w in words[2:] if not w.startswith("--")])
    talk = Talk(sys.stdin, _own_stdout())
    peer = make_peer(work.kind, work.size, options)
    if words[0] == "server":
        work.server(peer, talk)
    else:
        talk.say(ready=True)
        work.client(peer, talk)
    talk.hear()  # the parent hangs up when both ends have said everything
