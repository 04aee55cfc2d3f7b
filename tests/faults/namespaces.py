"""Two hosts and a wire between them, made of network namespaces; what goes wrong on the wire is the kernel's doing.

A namespace lives as long as the process that holds it, and that process ends when its input does: however a test ends,
nothing is left behind. Nothing outside of these namespaces is touched. Linux, root, iproute2, nftables, util-linux.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from typing_extensions import Self

from tests.faults.detour import Detour

MEND: Final = "apt-get install iproute2 nftables util-linux, and run as root"
ADDRESSES: Final = ("10.77.0.1", "10.77.0.2")
_CLONE_NEWNET: Final = 0x40000000
WIRE: Final = "wire"
"""What the wire's end is called in each of the two."""
MAC: Final = "02:00:00:00:00:01"
"""Of both ends: without ARP the system takes the peer's for its own."""


class Namespace:
    """A host of its own: its interfaces, addresses, ports and packet filters.

    :ivar pid: of the process that holds it.
    """

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self.pid = self._holder.pid
        self._holder.stdin.write(b"there?\n")
        self._holder.stdin.flush()
        if not self._holder.stdout.readline():
            self.close()
            raise OSError("unshare --net did not work")
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in here, as the very process that is started."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]

    def run(self, *command: str, given: str = "") -> str:
        """Run a command in here; return what it prints.

        :raises OSError: it failed; with what it complained of.
        """
        done = subprocess.run(self.command(*command), input=given, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}\n{given}")
        return done.stdout

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Within the block this thread is in here: so are the sockets that it opens, and the threads that it starts."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(path: str) -> None:
            with open(path, "rb") as place:
                if libc.setns(place.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns to {path}")

        with open(f"/proc/self/task/{threading.get_native_id()}/ns/net", "rb") as home:
            enter(f"/proc/{self.pid}/ns/net")
            try:
                yield
            finally:
                enter(f"/proc/self/fd/{home.fileno()}")

    def filter(self, rules: str) -> None:
        """Replace what the packet filters do; in nft's language."""
        self.run("nft", "-f", "-", given=f"flush ruleset\n{rules}\n")

    def kill_sockets(self, *which: str) -> None:
        """End sockets of either kind as if the system had lost them; ``which`` is in the language of ss."""
        self.run("ss", "--kill", "--tcp", "--udp", "-4", *which)

    def close(self) -> None:
        """Any number of times."""
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()
        self._holder.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Network:
    """Two hosts and the wire between them.

    :param delay: seconds that a packet takes, with ``late``: the wire is then a program (see ``detour.py``).
    :param late: share of the packets that take longer, so that others overtake them.
    :ivar hosts: the two; their addresses are ``ADDRESSES``.
    """

    def __init__(self, *, delay: float = 0.0, late: float = 0.0) -> None:
        self._undo: list[Callable[[], None]] = []
        try:
            self.hosts = (self._host(), self._host())
            if delay or late:
                detour = Detour(delay, late)
                self._undo.append(detour.close)
                for name, host in zip(detour.names, self.hosts):
                    subprocess.run(["ip", "link", "set", name, "netns", str(host.pid), "name", WIRE], check=True)
            else:
                a, b = (str(host.pid) for host in self.hosts)
                near, far = ((WIRE, "netns", pid, "address", MAC) for pid in (a, b))
                subprocess.run(["ip", "link", "add", *near, "type", "veth", "peer", *far], check=True)
            for host, address in zip(self.hosts, ADDRESSES):
                # One frame, one segment: the filters would otherwise drop or damage 64 KiB at once. And no ARP: where
                # its question gets lost, the system waits for a second and throws away what is sent meanwhile.
                host.run("ip", "link", "set", WIRE, "gso_max_segs", "1", "gso_max_size", "1500")
                host.run("ip", "link", "set", WIRE, "arp", "off", "up")
                host.run("ip", "address", "add", address + "/24", "dev", WIRE)
        except BaseException:
            self.close()
            raise

    def _host(self) -> Namespace:
        host = Namespace()
        self._undo.append(host.close)
        return host

    def harm(self, *, lose: float = 0.0, double: float = 0.0, damage: float = 0.0) -> None:
        """From now on packets meet with these faults, each way; shares from 0 to 1.

        :param damage: a byte of what the application sent is another; the checksum is made to fit, or nobody checks
            it, so that it reaches the application.
        """
        for host in self.hosts:
            host.filter(_faults(lose, double, damage))

    def reset(self, port: int) -> None:
        """From now on whoever speaks TCP to this port of the second host gets a reset."""
        self.hosts[1].filter(
            "table inet lab { chain input { type filter hook input priority 0; "
            f"tcp dport {port} reject with tcp reset; }}; }}"
        )

    def vanish(self) -> None:
        """From now on the second host answers nothing."""
        self.hosts[1].filter(
            "table inet lab {\n"
            "chain coming { type filter hook input priority 0; policy drop; }\n"
            "chain leaving { type filter hook output priority 0; policy drop; }\n}"
        )

    def heal(self) -> None:
        """No faults any more."""
        for host in self.hosts:
            host.filter("")

    def thin(self, bytes_per_second: int) -> None:
        """From now on the wire carries so much, each way; 8 KiB wait for it at most."""
        for host in self.hosts:
            rate = ("rate", f"{8 * bytes_per_second}bit", "burst", "4kb", "limit", "8kb")
            host.run("tc", "qdisc", "replace", "dev", WIRE, "root", "tbf", *rate)

    def pull(self) -> None:
        """Pull the plug."""
        self.hosts[1].run("ip", "link", "set", WIRE, "down")

    def plug(self) -> None:
        """Put it back in."""
        self.hosts[1].run("ip", "link", "set", WIRE, "up")

    def close(self) -> None:
        """Any number of times."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _faults(lose: float, double: float, damage: float) -> str:
    """nft's rules for one host: it doubles what leaves, and loses and damages what comes.

    The eighth byte of the payload is damaged: the UDP header has 8 bytes, the TCP header 32 with its time stamps.
    """
    rules = []
    if lose:
        rules.append(f"{_chance(lose)} drop")
    if damage:
        rules.append(f"udp length > 24 {_chance(damage)} @th,128,8 set 0x5a")
        rules.append(f"tcp flags & (syn | fin | rst) == 0 meta length > 80 {_chance(damage)} @th,320,8 set 0x5a")
    leaving = f"meta mark != 1 {_chance(double)} meta mark set 1 dup to {WIRE}" if double else ""
    return (
        f"table netdev lab {{\nchain coming {{ type filter hook ingress device {WIRE} priority 0;\n"
        + "\n".join(rules)
        + f"\n}}\nchain leaving {{ type filter hook egress device {WIRE} priority 0;\n{leaving}\n}}\n}}"
    )


def _chance(share: float) -> str:
    return f"numgen random mod 10000 < {round(share * 10_000)}" if share < 1 else ""


def trouble() -> str | None:
    """Why there can be no such network here; None if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "not Linux, or not root"
    try:
        with Network(late=0.1) as network:
            network.harm(lose=0.1, double=0.1, damage=0.1)
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    return None
