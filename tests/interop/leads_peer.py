"""LEADS itself as the peer: a process that runs leads_program.py under LEADS's own Python."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = Path(__file__).with_name("leads_program.py")
PATIENCE_S = 60.0
"""How long a test waits for what must happen; only a failing test waits so long."""


class LeadsPeer:
    """``peer.command("send", ...)``, then ``peer.wait("receive")``; with-able, and gone afterwards.

    :param python: that has LEADS.
    :param version: of LEADS.
    """

    def __init__(self, python: str, version: str = "0.9.7") -> None:
        self.version = version
        self.events: list[tuple[str, Any]] = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [python, "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a thread of LEADS that dies says so there
            text=True,
        )
        self.listener = threading.Thread(target=self.listen, name="leads-peer")
        self.listener.start()

    def __enter__(self) -> LeadsPeer:
        self.wait("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self.listener.join(PATIENCE_S)
        self.process.stdin.close()
        self.process.stdout.close()

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def listen(self) -> None:
        for line in self.process.stdout:
            kind, *what = json.loads(line)
            with self.changed:
                self.events.append((kind, bytes.fromhex(what[0]) if kind == "receive" else (what or [None])[0]))
                self.changed.notify_all()
        with self.changed:
            self.events.append(("ended", None))
            self.changed.notify_all()

    def command(self, name: str, *arguments: Any) -> None:
        """Have it do something; messages are bytes."""
        plain = [part.hex() if isinstance(part, bytes) else part for part in arguments]
        self.process.stdin.write(json.dumps([name, *plain]) + "\n")
        self.process.stdin.flush()

    def of(self, kind: str) -> list[Any]:
        with self.changed:
            return [what for other, what in self.events if other == kind]

    def kinds(self, *but: str) -> list[str]:
        """What happened, in order, without what is only about the program itself."""
        with self.changed:
            return [kind for kind, _ in self.events if kind not in ("ready", "dialled", "count", *but)]

    def wait(self, kind: str, count: int = 1) -> list[Any]:
        """Wait until ``kind`` has happened ``count`` times; return all of it."""
        with self.changed:
            if not self.changed.wait_for(lambda: len([1 for k, _ in self.events if k == kind]) >= count, PATIENCE_S):
                raise AssertionError(f"LEADS: no {count} x {kind} in {PATIENCE_S} s, but {self.events[-20:]}")
        return self.of(kind)

    # What tests do often ---------------------------------------------------------------------------------------------

    def serve(self, *separator: str) -> int:
        """Start its server; return the port."""
        before = len(self.of("initialize"))
        self.command("server", *separator)
        return int(self.wait("initialize", before + 1)[-1])

    def dial(self, port: int, *separator: str) -> None:
        """Start its client, and wait until that is connected and can send."""
        before = len(self.of("dialled"))
        self.command("client", port, *separator)
        self.wait("dialled", before + 1)

    def wait_listed(self, connections: int) -> None:
        """Wait until its server counts so many: LEADS lists a connection only after ``on_connect`` has returned."""
        for asked in range(1, 1000):
            self.command("count")
            if self.wait("count", asked)[-1] == connections:
                return
        raise AssertionError(f"LEADS counts {self.of('count')[-1]} connections, not {connections}")

    def hears(self, send: Any, messages: Iterable[bytes]) -> None:
        """``send`` each message once the one before it has been heard: at this pace LEADS's own parser cuts rightly."""
        for message in messages:
            heard = len(self.of("receive"))
            send(message)
            assert self.wait("receive", heard + 1)[heard:] == [message]
