"""A stream that is sent, by the thread that asked for it or by one of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from leadscomm.errors import CommError, ConnectionLost, RemoteProtocolError, TransferError
from leadscomm.protocol.records.stream_records import AT_ONCE, CANCELLED, FAILED, NOT_WANTED, Answer, Drop, Offer
from leadscomm.protocol.records.streams import SendingStream
from leadscomm.streams.files import Source
from leadscomm.streams.transfer import Progress, Side, Transfer, told

_DROP_S: Final = 1.0
"""How long there may be no room to tell the peer that a stream is given up."""


class Peer(Protocol):
    """To whom it goes."""

    def side(self) -> Side | None:
        """The present session with it, if there is one. The lock is held.

        :raises ConnectionLost: there will be none any more.
        """

    def __str__(self) -> str: ...


class SendingTransfer(Transfer):
    """A stream to a peer, over one session after the other if need be.

    :param source: what is sent.
    :param timeout: seconds in which nothing moves, after which it is given up.
    """

    def __init__(
        self, name: str, source: Source, peer: Peer, lock: threading.RLock, progress: Progress | None, timeout: float
    ) -> None:
        super().__init__(name, source.size, lock)
        self._source = source
        self._peer = peer
        self._progress = progress
        self._timeout = timeout
        self._heard_at = time.monotonic()
        self._side: Side | None = None
        self._stream: SendingStream | None = None
        self._broken: RemoteProtocolError | None = None
        self._why = ""  # it failed

    def run(self) -> None:
        """Send it.

        :raises TransferError: it did not arrive whole.
        """
        error: TransferError | None = None
        try:
            while not self._over_one_session():
                pass
        except TransferError as failure:
            error = failure
            raise
        except ConnectionLost as failure:
            error = self._failure(str(failure))
            raise error from failure
        except BaseException as failure:
            error = self._failure(told(failure))
            if isinstance(failure, (CommError, OSError)):
                raise error from failure
            raise
        finally:
            self._source.close()
            self._finish(error)

    def said(self, said: Answer) -> None:
        with self._changed:
            now = self._heard_at = time.monotonic()
            if self._stream is not None:
                try:
                    self._stream.receive(said, now)
                except RemoteProtocolError as error:
                    self._broken = error
            self._changed.notify_all()

    # The thread that sends -------------------------------------------------------------------------------------------

    def _over_one_session(self) -> bool:
        """Send it over the next session; whether all of it arrived."""
        side, stream = self._begin()
        try:
            self._send(side, stream)
            return True
        except ConnectionLost as error:
            side.over = True
            if not self._source.repeatable:
                raise self._failure("the session ended, and what is sent cannot be read a second time") from error
            return False
        except BaseException as error:
            if stream.refused is None:
                self._drop(side, stream.offer.number, error)
            raise
        finally:
            with self._changed:
                side.sending.pop(stream.offer.number, None)
                self._side = self._stream = None

    def _drop(self, side: Side, number: int, error: BaseException) -> None:
        """Tell the peer that it is given up."""
        code = FAILED if self._cancelled is None else CANCELLED
        with contextlib.suppress(CommError):
            side.say(Drop(number, code, self._why or told(error)).record(), _DROP_S)

    def _begin(self) -> tuple[Side, SendingStream]:
        """Wait for a session, and take a place in it."""
        with self._changed:
            while (side := self._peer.side()) is None or len(side.sending) >= AT_ONCE:
                if side is not None:
                    self._heard_at = time.monotonic()  # its turn will come
                self._look()
                self._wait()
            number = side.next_number
            side.next_number += 1
            offer = Offer(number, self.size, self.name, self._source.repeatable)
            self._side, self._stream = side, SendingStream(offer, side.pace)
            side.sending[number] = self
            return side, self._stream

    def _send(self, side: Side, stream: SendingStream) -> None:
        side.say(stream.offer.record())
        self._await(lambda: stream.accepted is not None)
        assert stream.accepted is not None
        known = self._source.known(stream.accepted.offset, self._look_here)
        if not stream.begin(known):
            self._source.rewind()
        self.resumed_at = stream.got
        while True:
            piece = self._source.read(self._await(stream.room))  # asked again, it may say that there is none any more
            if not piece:
                break
            side.say(stream.data(piece, time.monotonic()))
        self._source.check()
        side.say(stream.end())
        self._await(lambda: stream.done)

    def _await(self, done: Callable[[], int]) -> int:
        """Wait until it is done, and tell meanwhile how far the stream is; what ``done`` said then."""
        while True:
            with self._changed:
                stream = self._stream
                while not (finished := done()) and stream is not None and stream.got == self.moved:
                    self._look()
                    self._wait()
                self._look()
            if stream is not None:
                self._move(stream.got)
            if finished:
                return finished

    def _look_here(self) -> None:
        with self._changed:
            self._look()

    def _look(self) -> None:
        """Raise what ends it; the lock is held."""
        if self._cancelled is not None:
            raise self._failure(self._cancelled)
        if self._broken is not None:
            raise self._failure(str(self._broken))
        if self._stream is not None and self._stream.refused is not None:
            refused = self._stream.refused
            what = "the peer does not take it" if refused.code == NOT_WANTED else "the peer has given it up"
            raise self._failure(f"{what} ({refused.reason})")
        if self._side is not None and self._side.over:
            raise ConnectionLost("the session has ended")

    def _wait(self) -> None:
        """Wait for a change; the lock is held."""
        left = self._heard_at + self._timeout - time.monotonic()
        if left <= 0:
            what = "there was no session with it" if self._side is None else "nothing was heard of it"
            raise self._failure(f"{what} for {self._timeout:g} s")
        self._changed.wait(min(left, threading.TIMEOUT_MAX))

    def _failure(self, why: str) -> TransferError:
        self._why = why
        text = f"{self.name!r} to {self._peer}: {why}; {self._far()} have arrived"
        if self.moved and self._source.repeatable:
            text += ", and sending it again goes on from there"
        return TransferError(text, self.moved, self.size)
