"""The C++ headers on this machine: how the programs of host/ are built, and the board that is turned by hand."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.building import one_at_a_time

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "arduino" / "LeadsComm"
PROGRAMS = Path(__file__).parent / "host"
CAREFUL = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
STRICT = ("-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic")
AMPLE = 1 << 20  # room for all that a board has to write


def compile_program(name: str, folder: Path, *flags: str) -> Path:
    """Build host/`name`.cpp into `folder`, once and strictly; with ASan and UBSan unless `flags` say how."""
    program = folder / "-".join([name, *(flag.strip("-").replace("/", "-") for flag in flags)])
    words = [
        "g++",
        *STRICT,
        *(flags or CAREFUL),
        f"-I{LIBRARY / 'src'}",
        str(PROGRAMS / f"{name}.cpp"),
        "-o",
        str(program),
    ]
    with one_at_a_time(program):
        if not program.exists():
            subprocess.run(words, check=True)
    return program


@dataclass
class Message:
    data: bytes
    more: bool
    reliable: bool
    text: bool


@dataclass
class Step:
    """What happened in one step."""

    out: bytes
    statuses: list[str]
    messages: list[Message]
    connected: bool
    session: int
    bad: int
    full: int
    resent: int
    lost: int


STATUSES = ("sent", "full", "too long", "not connected", "not text", "lost")


@dataclass
class Stepper:
    """A board of the given kind, in a process of its own: host/stepper.cpp.

    Each step is one request: the time in ms (2 bytes), room (4), habits (1), the bytes received, the number of acts
    (1), and for each its letter and bytes. The answer: the bytes written, one status for each act and echo, the number
    of messages (4) and for each its flags (1) and bytes, connected (1), session (4), four counters (2 each). Bytes have
    their number (4) in front of them; all numbers are little endian.
    """

    program: Path
    kind: str
    salt: int = 0x1234
    now: int = 0  # milliseconds
    last: Step | None = None
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        words = [str(self.program), self.kind, str(self.salt)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Stepper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.close()
        assert error is not None or code == 0, f"the board ended with {code}"

    def close(self) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        code = self._process.wait()
        self._process.stdout.close()
        return code

    def step(
        self,
        data: bytes = b"",
        *acts: tuple[str, bytes],
        after: int = 0,
        room: int = AMPLE,
        echo: bool = False,
        refuse: bool = False,
        one_poll: bool = False,
    ) -> Step:
        """Turn the clock by `after` ms, hand over `data`, do `acts`, and poll.

        Acts: s send, m send a piece, i send if nothing is unacknowledged, d send a datagram, b bye.
        """
        self.now += after
        habits = echo | refuse << 1 | one_poll << 2
        request = [struct.pack("<HIBI", self.now & 0xFFFF, room, habits, len(data)), data, bytes([len(acts)])]
        for letter, payload in acts:
            request += [letter.encode(), struct.pack("<I", len(payload)), payload]
        assert self._process.stdin
        self._process.stdin.write(b"".join(request))
        self._process.stdin.flush()
        self.last = self._answer()
        return self.last

    def _answer(self) -> Step:
        out = self._bytes()
        statuses = [STATUSES[number] for number in self._bytes()]
        messages = []
        for _ in range(self._numbers("<I")[0]):
            (flags,) = self._numbers("<B")
            messages.append(Message(self._bytes(), bool(flags & 1), bool(flags & 2), bool(flags & 4)))
        connected, session, bad, full, resent, lost = self._numbers("<BIHHHH")
        return Step(out, statuses, messages, bool(connected), session, bad, full, resent, lost)

    def _numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._read(struct.calcsize(form)))

    def _bytes(self) -> bytes:
        return self._read(self._numbers("<I")[0])

    def _read(self, size: int) -> bytes:
        assert self._process.stdout
        data = self._process.stdout.read(size)
        assert len(data) == size, f"the board has ended: {self._process.wait()}"
        return data
