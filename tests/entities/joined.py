"""Two entities whose sessions are queues: for tests of streams that must decide when a session ends, and where."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from leadscomm.connections.sending.writer import here
from leadscomm.entities.records.streams import Streams
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.errors import ConnectionLost
from leadscomm.protocol.records.stream_records import read
from leadscomm.sessions.session import SessionConnection
from tests.entities.recorder import Recorder


class Takes(Recorder):
    """Takes each stream as it is told to; notes their beginnings and ends.

    :param take: called inside ``on_stream``; None: nothing is taken.
    """

    def __init__(self, take: Callable[[Any], object] | None = None) -> None:
        super().__init__()
        self.take = take

    def on_stream(self, service: Any, connection: Any, stream: Any) -> None:
        self.note("stream", stream)
        if self.take is not None:
            self.take(stream)

    def on_stream_end(self, service: Any, connection: Any, stream: Any) -> None:
        self.note("end", stream)


class Host:
    """What streams see of an entity."""

    def __init__(self, callback: Takes) -> None:
        self.callback = callback
        self._name = "leadscomm-Test"
        self.up = True
        self.streams = Streams(self)  # type: ignore[arg-type]

    def running(self) -> bool:
        return self.up

    def _call(self, callback: Callable[..., None], *args: Any, stage: Any = None) -> None:
        here.inside = self
        try:
            callback(*args)
        except Exception as error:
            self._report(error)
        finally:
            here.inside = None

    def _report(self, error: Exception) -> None:
        self.callback.note("fail", error)


class Joint(SessionConnection):
    """What streams see of a session: records go from one list into the other.

    :ivar watch: called before a record is sent.
    :ivar said: what was sent.
    """

    def __init__(self, stage: End, name: str, longest: int) -> None:
        self.stage = stage
        self.called = name
        self.takes = longest
        self.ended = False
        self.lines: Any = ("a line",)
        self.said: list[Any] = []
        self.watch: Callable[[Any], None] = lambda said: None

    def __str__(self) -> str:
        return f"the end of {self.called or 'a session'}"

    @property
    def name(self) -> str:
        return self.called

    @property
    def certain(self) -> int:
        return self.takes

    def send_record(self, record: bytes, lane: int, timeout: float | None = None) -> None:
        said = read(record)
        self.watch(said)
        self.put(record)
        self.said.append(said)

    def put(self, record: bytes) -> None:
        if self.ended:
            raise ConnectionLost("the session has ended")
        self.stage.peer.came.put(record)


class End(SessionStage):
    """One end of a session, and the thread that calls back."""

    def __init__(self, host: Host, name: str, longest: int) -> None:
        self.entity: Any = host
        self.peer: End
        self.connection = self._session = Joint(self, name, longest)
        self.came: queue.Queue[Any] = queue.Queue()
        self.thread = threading.Thread(target=self.run)

    def in_turn(self, call: Callable[[], None]) -> None:
        if self.connection.ended:
            call()
        else:
            self.came.put(call)

    def end(self) -> None:
        self.connection.ended = True
        self.came.put(None)

    def run(self) -> None:
        while (came := self.came.get()) is not None:
            if callable(came):
                came()
                continue
            try:
                self.entity.streams.handle(self, 7, came)
            except Exception as error:
                self.entity._report(error)
        self.entity.streams.session_ended(self)


class Joined:
    """Two hosts, ``a`` and ``b``, and the sessions between them."""

    def __init__(self, take: Callable[[Any], object] | None = None, longest: int = 1 << 20) -> None:
        self.b = Host(Takes(take))
        self.a = Host(Takes())
        self._longest = longest
        self._ends: list[End] = []
        self.begin()

    def begin(self, name: str = "peer") -> tuple[End, End]:
        """A session; its ends at ``a`` and ``b``."""
        a, b = End(self.a, name, self._longest), End(self.b, name, self._longest)
        a.peer, b.peer = b, a
        self._ends += [a, b]
        for end in (b, a):
            end.entity.streams.session_began(end)
            end.thread.start()
        return a, b

    @property
    def ends(self) -> tuple[End, End]:
        a, b = self._ends[-2:]
        return a, b

    def cut(self) -> None:
        """The latest session ends, for both."""
        for end in self.ends:
            end.end()

    def close(self) -> None:
        for end in self._ends:
            end.end()
        for end in self._ends:
            end.thread.join()
        for host in (self.a, self.b):
            host.streams.close(5.0)


@contextlib.contextmanager
def joined(take: Callable[[Any], object] | None = None, longest: int = 1 << 20) -> Iterator[Joined]:
    both = Joined(take, longest)
    try:
        yield both
    finally:
        both.close()
