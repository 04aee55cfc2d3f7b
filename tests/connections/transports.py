"""Every transport, put into one form for the tests that all of them pass."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from leadscomm import ConnectionBase, DeliveryError, ListenerBase, connect, listen
from tests.connections.cable import Cable
from tests.entities.recorder import PATIENCE_S

CERTIFICATES = Path(__file__).resolve().parent.parent / "data" / "tls"


@dataclass
class Place:
    """Where the two sides meet, for the length of one test.

    :ivar server: what is listened on.
    :ivar client: what is dialled, where the port is ``{port}``.
    :ivar sever: ends it for both sides without their doing, where there is something between them.
    """

    server: str
    client: str
    sever: Callable[[], None] | None = None


@dataclass(frozen=True)
class Transport:
    """
    :ivar reliable: everything arrives, and a peer that does not read is felt by who sends.
    :ivar tells_end: a side learns when the other one is closed.
    :ivar tells_loss: a side learns when the other one vanishes.
    :ivar empty: the empty message can be sent.
    :ivar large: bytes of a message that is large for it.
    :ivar buffers: a few kilobytes can be sent while the peer does not receive.
    """

    name: str
    place: Callable[[], AbstractContextManager[Place]]
    reliable: bool = True
    tells_end: bool = True
    tells_loss: bool = True
    empty: bool = True
    large: int = 1_000_000
    buffers: bool = True

    def __str__(self) -> str:
        return self.name


def fixed(server: str, client: str) -> Callable[[], AbstractContextManager[Place]]:
    return lambda: contextlib.nullcontext(Place(server, client))


@contextmanager
def unix_place(options: str = "") -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        yield Place(f"unix://{folder}/socket{options}", f"unix://{folder}/socket{options}")


@contextmanager
def cable_place(prefix: str = "", options: str = "", baud: int = 115_200) -> Iterator[Place]:
    with Cable() as cable:
        server, client = (f"{prefix}serial://{end}?baud={baud}{options}" for end in (cable.a, cable.b))
        yield Place(server, client, cable.pull)


TLS_SERVER = f"tls://127.0.0.1:0?cert={CERTIFICATES}/server.pem&cert_key={CERTIFICATES}/server.key"
TLS_CLIENT = f"tls://127.0.0.1:{{port}}?ca={CERTIFICATES}/ca.pem"

TRANSPORTS = (
    Transport("tcp4", fixed("tcp://127.0.0.1:0", "tcp://127.0.0.1:{port}")),
    Transport("tcp6", fixed("tcp://[::1]:0", "tcp://[::1]:{port}")),
    Transport("tls", fixed(TLS_SERVER, TLS_CLIENT)),
    Transport("unix", unix_place),
    Transport(
        "udp",
        fixed("udp://127.0.0.1:0", "udp://127.0.0.1:{port}"),
        reliable=False,
        tells_end=False,
        tells_loss=False,
        empty=False,
        large=65_507,
    ),
    Transport(
        "udp-separator",
        fixed("udp://[::1]:0?framing=separator", "udp://[::1]:{port}?framing=separator"),
        reliable=False,
        tells_loss=False,
        large=60_000,
    ),
    Transport("serial", cable_place, large=200_000),
    Transport("serial-socket", fixed("tcp://127.0.0.1:0", "serial://socket://127.0.0.1:{port}")),
    Transport("loop", fixed("loop://contract", "loop://contract")),
)

# With fault:// before them and no fault set, and others on one side alone.
CLEAN = "fault:///"
FAULTY_TRANSPORTS = (
    Transport("fault-tcp", fixed(f"{CLEAN}tcp://127.0.0.1:0", f"{CLEAN}tcp://127.0.0.1:{{port}}")),
    Transport(
        "fault-tcp-cobs",
        fixed(f"{CLEAN}tcp://127.0.0.1:0?framing=cobs", "tcp://127.0.0.1:{port}?framing=cobs"),
    ),
    Transport(
        "fault-tcp-length",
        fixed("tcp://127.0.0.1:0?framing=length", f"{CLEAN}tcp://127.0.0.1:{{port}}?framing=length"),
    ),
    Transport("fault-tls", fixed(f"{CLEAN}{TLS_SERVER}", f"{CLEAN}{TLS_CLIENT}")),
    Transport(
        "fault-udp",
        fixed(f"{CLEAN}udp://127.0.0.1:0", f"{CLEAN}udp://127.0.0.1:{{port}}"),
        reliable=False,
        tells_end=False,
        tells_loss=False,
        empty=False,
        large=65_507,
    ),
    Transport("fault-serial", partial(cable_place, CLEAN), large=200_000),
    Transport("fault-loop", fixed("loop://contract?drop=0", "loop://contract?delay=0.001")),
)


# With a session, whatever the line.
SESSION = "reliable=1&patience=2"
SESSION_TRANSPORTS = (
    Transport("session-tcp", fixed(f"tcp://127.0.0.1:0?{SESSION}", f"tcp://127.0.0.1:{{port}}?{SESSION}")),
    Transport("session-tls", fixed(f"{TLS_SERVER}&{SESSION}", f"{TLS_CLIENT}&{SESSION}")),
    Transport("session-unix", partial(unix_place, f"?{SESSION}")),
    Transport("session-udp", fixed(f"udp://127.0.0.1:0?{SESSION}", f"udp://127.0.0.1:{{port}}?{SESSION}")),
    Transport("session-serial", partial(cable_place, "", f"&{SESSION}", 4_000_000), large=20_000, buffers=False),
    Transport("session-loop", fixed(f"loop://contract?{SESSION}", f"loop://contract?{SESSION}")),
    Transport(
        "session-length",
        fixed(f"tcp://127.0.0.1:0?{SESSION}&framing=length", f"tcp://127.0.0.1:{{port}}?{SESSION}&framing=length"),
    ),
)


class Later:
    """A function in a thread of its own, whose result is waited for, but not for ever."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, args), name="later", daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._result = function(*args)
        except BaseException as error:
            self._error = error

    def result(self, timeout: float = PATIENCE_S) -> Any:
        """What the function returned; raises what it raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"not done after {timeout} s"
        if self._error is not None:
            raise self._error
        return self._result

    def waits(self) -> bool:
        """Whether it is still at it."""
        return self._thread.is_alive()


@contextmanager
def listening(endpoint: str, **options: Any) -> Iterator[ListenerBase]:
    """A listener, closed and released at the end."""
    listener = listen(endpoint, **options)
    try:
        yield listener
    finally:
        listener.close()
        assert listener.accept() is None
        listener.release()


def accepted(listener: ListenerBase, key: bytes | None = None) -> ConnectionBase:
    """The next peer, after its handshake."""
    import time

    connection = listener.accept()
    assert connection is not None
    connection.accepted, connection.key = True, key
    try:
        connection.open(time.monotonic() + PATIENCE_S)
    except BaseException:
        connection.abort()
        connection._close()
        raise
    return connection


@contextmanager
def conversation(transport: Transport, **options: Any) -> Iterator[tuple[ConnectionBase, ConnectionBase, Place]]:
    """A dialled connection, the accepted one at its other end, and where they met."""
    with transport.place() as place, listening(place.server) as listener:
        waiting = Later(accepted, listener)
        client = connect(place.client.format(port=listener.port()), **options)
        server = waiting.result()
        server.outbox.timeout = client.outbox.timeout
        try:
            yield client, server, place
        finally:
            for connection in (client, server):
                connection.abort()
                with contextlib.suppress(DeliveryError):  # a session may not have heard that all arrived
                    connection.close()
