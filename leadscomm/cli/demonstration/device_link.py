"""What the demo knows of one device: its process, the cables that lead there, and what becomes of the messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from leadscomm.cli.demonstration.board_link import companion
from leadscomm.cli.demonstration.pty_cable import PtyCable
from leadscomm.cli.demonstration.pulling import Cable
from leadscomm.cli.demonstration.report import ANSWER
from leadscomm.cli.demonstration.tcp_cable import TcpCable
from leadscomm.errors import CommError
from leadscomm.hardware.companion import Echo, EchoAnswer
from leadscomm.testing.virtual_board import VirtualBoard

_DEVICE: Final = "leadscomm.cli.demonstration.device"
_PACKAGE: Final = Path(__file__).resolve().parents[3]
_ENDS_WITHIN_S: Final = 3.0
NOISE: Final = 0.0005
"""The part of the board's bytes of which a bit is turned over."""


class Device:
    """One device, as the hosts see it.

    :ivar name: its own.
    :ivar missing: why this machine cannot show it; "" if it can.
    :ivar sent: messages to it, from all hosts.
    :ivar delivered: of them, how many were answered, each counted once.
    :ivar duplicated: answers that came before.
    :ivar over: all answers that were to come have come.
    :ivar cuts: how often something was pulled or killed on the way there.
    :ivar cables: what can be pulled; by kind.
    :ivar most: how many messages of a host may be under way.
    """

    most = 2000

    def __init__(self, name: str) -> None:
        self.name = name
        self.missing = ""
        self.over = False
        self.sent = self.delivered = self.duplicated = self.cuts = 0
        self.cables: dict[str, Cable] = {}
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}  # by host, the number of the next answer

    def start(self) -> None:
        """Have it begin.

        :raises OSError: it cannot, for a reason of the system's.
        :raises CommError: for another one; the text says what is missing.
        """
        raise NotImplementedError

    def places(self, host: str) -> list[str]:
        """Where a host finds it."""
        raise NotImplementedError

    def kind(self, link: str) -> str:
        """Which of the ways there a line is, by its name."""
        return "serial"

    def close(self) -> None:
        """End it."""
        for cable in self.cables.values():
            cable.close()
        self.cables = {}

    def message(self, number: int) -> bytes:
        """The message with this number."""
        return b"#%d" % number

    def _number(self, answer: bytes) -> int:
        return int(answer.removeprefix(ANSWER + b"#"))

    def answered(self, host: str, answer: bytes) -> None:
        """An answer came. Any thread."""
        number = self._number(answer)
        with self._lock:
            expected = self._next.get(host, 0)
            if number < expected:
                self.duplicated += 1
            else:
                self.delivered += 1
                self._next[host] = number + 1

    def lost(self) -> int:
        """How many were not answered; exact in the end."""
        return self.sent - self.delivered

    def fault(self) -> str:
        """What is wrong after the end; "" if every message arrived once."""
        if self.missing:
            return ""
        if not self.delivered:
            return "nothing was delivered"
        if self.lost() or self.duplicated:
            return f"{self.sent:,} sent, {self.delivered:,} delivered, {self.duplicated:,} duplicated"
        return ""


class NodeDevice(Device):
    """A node in a process of its own, at the end of a network cable, by radio (UDP), and perhaps of a serial cable.

    :param serial: the host that a serial cable leads to; "" for none.
    """

    def __init__(self, name: str, serial: str = "") -> None:
        super().__init__(name)
        self._serial = serial
        self._process: subprocess.Popen[str] | None = None
        self._places: list[str] = []

    def start(self) -> None:
        places = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]
        if self._serial:
            cable = self.cables["serial"] = PtyCable()
            places.append(f"serial://{cable.ends[1]}")
        paths = os.pathsep.join(filter(None, (str(_PACKAGE), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", _DEVICE, self.name, *places],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the demo, which then ends its devices
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )

    def begun(self) -> None:
        """Wait until it listens.

        :raises CommError: it has ended instead.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise CommError(f"the device {self.name} ended at once")
        tcp, udp, *_ = json.loads(said)
        network = self.cables["tcp"] = TcpCable(int(tcp.rpartition(":")[2]))
        self._places = [f"tcp://127.0.0.1:{network.port}", udp]

    def places(self, host: str) -> list[str]:
        serial = self.cables.get("serial")
        if host == self._serial and isinstance(serial, PtyCable):
            return [*self._places, f"serial://{serial.ends[0]}"]
        return self._places

    def kind(self, link: str) -> str:
        if link.startswith("/"):
            return "serial"
        return "tcp" if link == self._places[0].partition("://")[2] else "udp"

    def close(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None and process.stdout is not None:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        super().close()


class BoardDevice(Device):
    """A virtual board, at the end of a bad serial cable."""

    most = 4

    def __init__(self, host: str) -> None:
        super().__init__("companion")
        self._host = host
        self._board: VirtualBoard | None = None

    def start(self) -> None:
        self._board = VirtualBoard(companion())
        self._board.set_faults(flip=NOISE)

    def places(self, host: str) -> list[str]:
        return [self._board.endpoint] if self._board is not None and host == self._host else []

    def message(self, number: int) -> bytes:
        return Echo(number % 256, b"#%d" % number).pack()

    def _number(self, answer: bytes) -> int:
        return int(EchoAnswer.unpack(answer).data[1:])

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
        super().close()
