"""A stream that is received, written by threads for all of them: a slow disk holds up nobody's callbacks."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import Final

from leadscomm.errors import CommError, ConnectionLost, RemoteProtocolError, ServiceError, TransferError
from leadscomm.protocol.records.stream_records import (
    BROKEN,
    CANCELLED,
    DAMAGED,
    FAILED,
    NOT_WANTED,
    Data,
    Drop,
    End,
    Offer,
    Refuse,
    Said,
)
from leadscomm.protocol.records.streams import ReceivingStream, credit_beside
from leadscomm.streams.files import FileSink, Sink, Writable, WritableSink, clean_name
from leadscomm.streams.transfer import Progress, Side, Transfer, told

_ALIVE_EVERY: Final = 64 << 20
"""While it looks through what there is already, it gives a sign of life after so many bytes."""
_REFUSE_S: Final = 1.0
"""How long there may be no room to tell the sender that it is not taken any more."""


class _Stopped(Exception):
    """It is not taken any more.

    :param code: what the sender is told; None: nothing, it knows.
    """

    def __init__(self, code: int | None, reason: str, forget: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.forget = forget  # what came of it is of no use


class Stream(Transfer):
    """A stream that the peer offers: what ``on_stream`` gets. Inside it one of :meth:`save`, :meth:`save_into` and
    :meth:`accept` takes it; otherwise it is refused.

    :ivar connection: where it comes from.
    :ivar path: the file that it becomes; None: it becomes none.
    """

    def __init__(
        self,
        side: Side,
        offer: Offer,
        lock: threading.RLock,
        all_streams: Collection[Transfer],
        go_on: Callable[[Stream], None],
    ) -> None:
        super().__init__(offer.name, offer.size, lock)
        self.connection = side.connection
        self.path: Path | None = None
        self._side = side
        self._all = all_streams
        self._go_on = go_on  # has run() called; under the lock
        self._life = self._live()
        self._stream = ReceivingStream(offer)
        self._came: deque[Data | End | Drop] = deque()  # bounded by the rules of streams
        self._sink: Sink | None = None
        self._why_not = "nobody wants it"
        self._open = True  # inside on_stream
        self._broken: RemoteProtocolError | None = None
        self._displaced = False  # the same file is offered again
        self.at_work = False  # a thread is in run()
        self.queued = False  # run() is to be called, by the next thread that is free

    @property
    def _target(self) -> str:
        """What file it is written to, in one way of writing; empty: none."""
        return "" if self.path is None else os.path.abspath(self.path)

    # Inside on_stream ------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, progress: Progress | None = None) -> Path:
        """Take it as a file. What was there of it already, from an earlier attempt, is not sent again.

        :param path: what the file is called, when all of it is there; until then it has another name, beside it.
        :param overwrite: replace another file of that name; otherwise the stream is refused then.
        :param progress: is told how far it is, by the thread that writes it.
        :return: the path.
        :raises ServiceError: it is too late.
        """
        self.path = Path(path)
        self._take(FileSink(self.path, overwrite), progress)
        return self.path

    def save_into(
        self, folder: str | os.PathLike[str], *, overwrite: bool = False, progress: Progress | None = None
    ) -> Path:
        """As :meth:`save`, with the sender's name for it, made a plain one: no folders, nothing hidden."""
        return self.save(Path(folder) / clean_name(self.name), overwrite=overwrite, progress=progress)

    def accept(self, file: Writable, *, progress: Progress | None = None) -> None:
        """Take it into anything that has ``write``. It is written from its beginning, by a thread of the
        streams.

        :raises ServiceError: it is too late.
        """
        self._take(WritableSink(file), progress)

    def refuse(self, reason: str) -> None:
        """Tell the sender why it is not wanted."""
        self._why_not = reason

    def _take(self, sink: Sink, progress: Progress | None) -> None:
        if not self._open or self._sink is not None:
            raise ServiceError(f"the stream {self.name!r} is taken once, inside on_stream; it is too late now")
        self._sink, self._progress = sink, progress

    # The thread that reads the session -------------------------------------------------------------------------------

    def settle(self) -> None:
        """``on_stream`` has returned: it begins."""
        with self._changed:
            self._open = False
            self.wake()

    def said(self, said: Said) -> None:
        with self._changed:
            try:
                self._stream.receive(said)
            except RemoteProtocolError as error:
                self._broken = error
            else:
                assert not isinstance(said, Offer)
                self._came.append(said)
            self.wake()

    def wake(self) -> None:
        super().wake()
        if not self._open:
            self._go_on(self)

    # One thread of the streams at a time -----------------------------------------------------------------------------

    def run(self) -> None:
        """Answer, and write the next that has come, if something has. It is called again when more comes."""
        next(self._life, None)

    def _live(self) -> Iterator[None]:
        sink, error = self._sink, None
        if sink is None:
            self._leave(Refuse(self._stream.offer.number, NOT_WANTED, self._why_not).record())
            self._finish(self._failure("it was not accepted"))
            return
        try:
            yield from self._receive(sink)
        except BaseException as failure:
            error = self._fail(sink, failure)
        self._finish(error)
        self._side.stage.in_turn(self._tell_end)

    def _tell_end(self) -> None:
        stage = self._side.stage
        entity = stage.entity
        entity._call(entity.callback.on_stream_end, entity, self.connection, self, stage=stage)

    def _receive(self, sink: Sink) -> Iterator[None]:
        stream = self._stream
        looked = 0

        def look() -> None:
            nonlocal looked
            with self._changed:
                self._look()
                self._displace()
            looked += 1
            if looked % (_ALIVE_EVERY >> 20) == 0:
                self._side.answer(stream.alive())

        self.resumed_at, known = sink.open(stream.offer, look)
        with self._changed:
            self.credit = credit_beside(sum(other.credit for other in self._side.receiving.values()))
        self._side.answer(stream.accept(known, self.resumed_at, self.credit))
        self._move(self.resumed_at)
        while not isinstance(said := (yield from self._next()), End):
            if isinstance(said, Drop):
                raise _Stopped(None, f"the sender has given it up ({said.reason})")
            self._write(sink, said.offset, said.payload)
            self._side.answer(stream.wrote(said))
            self._move(stream.written)
        if said.size == 0 and self.resumed_at:
            self._write(sink, 0, b"")
        if not stream.is_whole(said):
            raise _Stopped(DAMAGED, "what has come is not what was sent: its digest is another one", forget=True)
        sink.finish()
        self._leave(stream.done())  # if it does not come there, the sender will ask again

    def _write(self, sink: Sink, offset: int, payload: bytes) -> None:
        if offset == 0:
            self.resumed_at = 0
        sink.write(offset, payload)

    def _next(self) -> Generator[None, None, Data | End | Drop]:
        while True:
            yield  # others have their turn
            with self._changed:
                self._look()
                if self._came:
                    said = self._came.popleft()
                    if self._came:
                        self._go_on(self)
                    return said

    def _displace(self) -> None:
        """Have others let go of the same file whose sessions wait for a line: their sender was restarted, probably. The
        lock is held."""
        for other in self._all:
            if isinstance(other, Stream) and other is not self and other._target == self._target:
                other._displaced = not other.connection.lines
                other.wake()

    def _look(self) -> None:
        """Raise what ends it; the lock is held."""
        if self._cancelled is not None:
            raise _Stopped(CANCELLED, self._cancelled, forget=True)
        if self._broken is not None:
            raise _Stopped(BROKEN, str(self._broken))
        if self._displaced:
            raise _Stopped(FAILED, "the same file is offered again in another session")
        if self._side.over:
            raise ConnectionLost("the session has ended")

    def _fail(self, sink: Sink, failure: BaseException) -> TransferError:
        """It came to nothing: let go, and tell the sender."""
        stopped = failure if isinstance(failure, _Stopped) else None
        with contextlib.suppress(OSError):
            (sink.discard if stopped is not None and stopped.forget else sink.close)()
        if stopped is not None:
            code, reason = stopped.code, str(failure)
        elif isinstance(failure, ConnectionLost):
            code, reason = None, str(failure)
        else:
            code, reason = FAILED, told(failure)
        self._leave(None if code is None else Refuse(self._stream.offer.number, code, reason).record())
        if self.moved and not (stopped is not None and stopped.forget):
            kept = sink.kept()
            reason += f"; {self._far()} are kept{kept}" if kept else f"; {self._far()} had come"
        error = self._failure(reason)
        error.__cause__ = None if stopped is not None else failure
        return error

    def _leave(self, record: bytes | None, patience: float = _REFUSE_S) -> None:
        """Say the last word, and make room for another.

        :param patience: seconds to wait until it can be said.
        """
        if record is not None:
            with contextlib.suppress(CommError):
                self._side.answer(record, patience)
        with self._changed:
            self._side.receiving.pop(self._stream.offer.number, None)
            self._came.clear()

    def _failure(self, why: str) -> TransferError:
        return TransferError(f"{self.name!r} from {self.connection}: {why}", self.moved, self.size)
