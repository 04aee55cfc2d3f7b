"""The stream parser: bytes from one peer become messages, messages become bytes.

A transport of ours writes ``_read``, ``_write`` and ``_close`` (and ``fileno``, if it can be polled) and gets
everything else from here. A connection written in LEADS's shape writes ``receive``, ``send``, ``closed`` and
``close`` itself, with ``use_remainder``, ``with_remainder`` and ``drop_remainder`` to help.
:class:`~leadscomm.Server` and :class:`~leadscomm.Client` run both.

A connection owns one handle of the operating system and no thread.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final

from leadscomm.connections.handles import lead_nowhere
from leadscomm.connections.keyed import authenticate
from leadscomm.connections.losses import odd
from leadscomm.connections.sending.leads import outbox_for
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Keeper, Writer, wait_for
from leadscomm.connections.stats import ConnectionStats
from leadscomm.errors import CommError, CommTimeout, RemoteProtocolError, ServiceError
from leadscomm.protocol.framing import FAREWELL, Framing, SeparatorFraming, guess

CHUNK_BYTES: Final = 64 * 1024
"""How much is read at a time. ``recv`` of more than 128 KiB is several times slower."""
WARY_BYTES: Final = 16 * 1024
"""How much of a frame is held of a peer of which nothing is known yet; with all around it, less than 64 KiB."""
LINGER_S: Final = 1.0
"""How long a closed connection goes on reading (and discarding) so that its last bytes reach a peer that is still
sending."""


class ConnectionBase(Writer):
    """One conversation with one peer.

    :param remainder: bytes of the stream that were read before this connection took over.
    :param separator: what ends each message on the LEADS wire.
    :param framing: any other framing; ``separator`` is then not used.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "_inbox",
        "_more",
        "_remainder",
        "_separator",
        "_shut",
        "_tail",
        "_usual",
        "accepted",
        "displaced",
        "framing",
        "keeper",
        "key",
        "outbox",
        "patience",
    )
    pooled: ClassVar[bool] = True
    """Whether its :meth:`fileno` tells a poll all that there is to read, so that an entity may read it in its pool."""

    def __init__(self, remainder: bytes = b"", separator: bytes = b";", *, framing: Framing | None = None) -> None:
        self.framing: Framing = SeparatorFraming(separator) if framing is None else framing
        self.outbox: Outbox = outbox_for(self, self.framing)
        self.keeper: Keeper | None = None
        self.key: bytes | None = None
        """A key that the peer must hold too; asked for by :meth:`open`."""
        self.accepted = False
        """Whether a listener accepted it, and not we dialled it."""
        self.displaced = False
        """Whether it was ended for somebody else's sake, before it was known who is there: nobody has failed."""
        self.patience: float | None = None
        """Seconds that :meth:`receive` waits where it is not told."""
        self._separator = separator
        self._remainder = b""  # for the helpers in LEADS's shape: what was read and not used
        self._tail = b""  # and the part of a message that was put aside before it
        self._inbox: deque[bytes] | None = None
        self._ended = False  # the peer said goodbye, or its stream ended
        self._more = False  # the last _read may have left something behind
        self._shut = False  # close() was called
        self._usual: int | None = None  # the longest message, while less is taken
        if remainder and type(self).receive is ConnectionBase.receive:
            self._inbox = deque(self.framing.feed(remainder))
        elif remainder:
            self._remainder = remainder

    def __str__(self) -> str:
        """The peer, for people: ``host:port`` where there is one."""
        return type(self).__name__

    # What a transport writes -----------------------------------------------------------------------------------------

    def _read(self) -> bytes | None:
        """Read some bytes; wait for them unless the transport was set not to.

        :return: bytes, perhaps none; None at the end of the stream.
        :raises BlockingIOError: nothing is there and it may not wait.
        :raises OSError: the transport failed.
        """
        raise NotImplementedError(f"{type(self).__name__} must write _read(), or receive() as in LEADS")

    def _write(self, data: bytes | memoryview) -> int:
        raise NotImplementedError(f"{type(self).__name__} must write _write(), or send() as in LEADS")

    def _close(self) -> None:
        """Release the handle. Called once, by the thread that read last."""

    def set_blocking(self, blocking: bool) -> None:
        """Whether ``_read`` waits; it does until it is told otherwise."""

    def abort(self) -> None:
        """End the conversation at once: what is queued is lost, and the thread in ``_read`` finds the end. Any
        thread."""

    def shut_sending(self) -> None:
        """Tell the peer that nothing more comes, if the transport can; otherwise :meth:`abort`. Any thread."""
        self.abort()

    def open(self, deadline: float) -> None:
        """Finish what has to be said before the first message (TLS, keys). ``deadline`` as ``time.monotonic()`` counts.

        :raises AuthenticationFailed: a key or a certificate does not fit.
        :raises CommTimeout: the peer did not finish in time.
        """
        if self.key is not None:
            self.set_blocking(False)  # so that nothing but the deadline is waited for
            unused = authenticate(self, self.key, server=self.accepted, deadline=deadline)
            if unused:
                self._inbox = deque(self.framing.feed(unused))

    def be_wary(self) -> None:
        """Hold little of what comes, as long as it is not known who is there. The thread that reads only."""
        if self._usual is None:
            self._usual = self.framing.max_message
            self.framing.resize(min(self._usual, WARY_BYTES))

    def at_ease(self) -> None:
        """It is known now; the reverse of :meth:`be_wary`."""
        if self._usual is not None:
            self.framing.resize(self._usual)
            self._usual = None

    def tick(self) -> float | None:
        """Do what is due from time to time, such as a sign of life; return the seconds until the next call, or None.
        For a connection that an entity runs the flusher calls it; must not block."""
        return None

    @property
    def has_to_ask(self) -> bool:
        """Whether :meth:`open` waits for the peer."""
        return self.key is not None

    @property
    def _origin(self) -> str | None:
        """What ``max_per_address`` counts; None where it does not apply (loopback, Unix, a cable)."""
        return None

    @property
    def _answers_goodbye(self) -> bool:
        """Whether a peer that has said goodbye is told it too; LEADS does."""
        return True

    def _wait_readable(self, timeout: float | None) -> bool:
        return self._wait_ticking(timeout, writable=False)

    def _wait_writable(self, timeout: float) -> bool:
        return self._wait(timeout, writable=True)

    def _wait_ticking(self, timeout: float | None, *, writable: bool) -> bool:
        """Wait until it can be read (or written), at most ``timeout`` seconds; whether it can. Where no entity runs the
        connection, what is due from time to time is done meanwhile."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            due = None if self.keeper is not None else self.tick()
            rest = None if end is None else max(0.0, end - time.monotonic())
            if self._wait(min((span for span in (rest, due) if span is not None), default=None), writable):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    def _wait(self, timeout: float | None, writable: bool) -> bool:
        return wait_for(self.fileno(), timeout, writable=writable)

    # Receiving -------------------------------------------------------------------------------------------------------

    def read_batch(self) -> list[bytes] | None:
        """Read once; return every message that is now whole, or None at the end. The reading thread only.

        Bad frames are left in ``framing.faults``.

        :raises OSError: as ``_read``.
        """
        if self._ended:
            return None
        data = self._read()
        if data is None:
            self._end()
            return None
        framing = self.framing
        messages = framing.feed(data)
        if framing.farewell is not None and framing.farewell in messages:
            del messages[messages.index(framing.farewell) :]
            framing.clear()
            self._ended = True
        elif framing.broken:
            self._ended = True
        return messages

    def _end(self) -> None:
        self._ended = True
        wants = guess.greeting(self.framing.remainder)
        truncated = self.framing.finish()
        if truncated is not None and wants:
            self.framing.faults.append(RemoteProtocolError(f"the peer {wants}"))
        elif truncated is not None:
            self.framing.faults.append(truncated)

    def unread(self) -> list[bytes]:
        """Take the messages that :meth:`receive` had read beyond the one it returned."""
        messages, self._inbox = list(self._inbox or ()), None
        return messages

    def hold(self, messages: Sequence[bytes]) -> None:
        """Keep messages that were read beforehand: :meth:`receive` and :meth:`unread` give them first."""
        if messages:
            self._inbox = deque(messages)

    def more(self) -> bool:
        """Whether another :meth:`read_batch` may find something without waiting for the peer."""
        return self._more or self._ended

    def receive(self, timeout: float | None = None) -> bytes | None:
        """Receive one message. For connections that no entity runs.

        :param timeout: seconds; None waits for :attr:`patience`, which is for ever unless set.
        :return: the message; None when the peer is gone.
        :raises CommTimeout: nothing came in time.
        :raises RemoteProtocolError: the peer sent what the framing does not allow. Messages before it were received.
        :raises ConnectionLost: a transport or a framing of somebody's own has raised what none should.
        """
        timeout = self.patience if timeout is None else timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._inbox is None:
            self._inbox = deque()
            self.set_blocking(False)
        while not self._inbox:
            if self.framing.faults:
                raise self.framing.faults.pop(0)
            batch = self._awaited(deadline)
            if batch is None and not self.framing.faults:
                return None
            self._inbox.extend(batch or ())
        return self._inbox.popleft()

    def _awaited(self, deadline: float | None) -> list[bytes] | None:
        """Read once, at ``deadline`` at the latest; None at the end."""
        try:
            if not self.more() and not self._wait_readable(
                None if deadline is None else max(0.0, deadline - time.monotonic())
            ):
                raise CommTimeout(f"nothing came from {self} in time")
            return self.read_batch()
        except BlockingIOError:
            self._more = False
            return []
        except CommTimeout:
            raise
        except OSError:
            self._end()
            return None
        except Exception as error:
            self._ended = True
            raise odd(str(self), error) from error

    def stats(self) -> ConnectionStats:
        """How the connection is at the moment. Any thread."""
        return ConnectionStats(*self.outbox.backlog(), self._round_trip())

    def _round_trip(self) -> float | None:
        """Seconds to the peer and back, where somebody measures it."""
        return None

    # Sending and closing ---------------------------------------------------------------------------------------------

    def send_file(self, path: str | os.PathLike[str], **options: Any) -> Any:
        """Send a file as a stream (``docs/streams.md``), as ``send_file`` of the entity that runs this connection does,
        with its parameters.

        :raises ServiceError: it has no session, or no entity runs it.
        """
        return self._streams().send_file(path, self, **options)

    def send_stream(self, file: Any, **options: Any) -> Any:
        """Send what a binary file holds, likewise."""
        return self._streams().send_stream(file, self, **options)

    def _streams(self) -> Any:
        if self.keeper is None:
            raise ServiceError(f"no service runs {self}, and streams need one: use a Client or a Server")
        return self.keeper.streams

    def send(
        self,
        message: bytes,
        lane: int | None = None,
        *,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send one message. Any thread.

        :param lane: is for sessions, as ``lifetime`` and ``latest`` are: see :meth:`SessionConnection.send`.
        :param timeout: seconds to wait for room instead of ``send_timeout``.
        :raises LocalProtocolError: the framing cannot carry it, or something is for sessions and this is none; nothing
            was sent.
        :raises ConnectionLost: the conversation is over.
        :raises OutboxFull: the peer does not take it (see ``send_timeout`` and ``outbox``).
        """
        if self.outbox.closed:
            raise self.outbox.late()
        self.outbox.send(message, lane, lifetime, latest, timeout)

    def disconnect(self) -> None:
        """Say goodbye, where the framing has a word for it; the peer then closes. Nothing can be sent after it."""
        if type(self).send is not ConnectionBase.send:  # in LEADS's shape
            with contextlib.suppress(OSError):
                self.send(FAREWELL)
            return
        if self.outbox.closed:
            return  # said already
        farewell = self.framing.farewell if not self._ended or self._answers_goodbye else None
        self.outbox.send_last(b"" if farewell is None else self.framing.encode_all([farewell]))

    def disown(self) -> None:
        """This process was forked, and the conversation is its parent's: let go of it without a word."""
        self._shut = True
        self.outbox.disown()
        lead_nowhere(self.fileno())

    def closed(self) -> bool:
        """Whether this side has closed the conversation."""
        return self._shut

    def close(self) -> None:
        """Send what is queued, say goodbye and close. Any thread, any number of times.

        For a connection that an entity runs this returns at once and the entity does the rest; otherwise it waits for
        the peer, at most ``send_timeout`` seconds for what is queued and :data:`LINGER_S` for its answer.
        """
        if self._shut:
            return
        self._shut, keeper = True, self.keeper
        if keeper is not None:
            keeper.closing()
        else:
            self._close_alone()

    def _close_alone(self) -> list[bytes]:
        """As :meth:`close`, of one that no entity runs; return the messages that were accepted and not sent."""
        try:
            self.disconnect()
            self.outbox.drain(self.outbox.timeout)
            self.shut_sending()
            self._discard(time.monotonic() + LINGER_S)
            left = self.outbox.abandon()
            self.abort()  # another thread may still be in receive()
        finally:
            self._close()
        self._part()
        return left

    def _discard(self, deadline: float) -> None:
        """Read until the peer has closed too: closing with bytes unread would reset what the peer has not read yet."""
        try:
            self.set_blocking(False)  # another thread in receive() may be quicker
            while not self._ended and self._wait_readable(max(0.0, deadline - time.monotonic())):
                try:
                    if self._read() is None:
                        break
                except BlockingIOError:
                    pass
        except Exception:  # it is over, whatever the transport has to say
            pass

    def finish(self) -> list[bytes]:
        """Release the handle after the end; return the messages that were accepted and not sent. The reading thread
        only."""
        if self._ended and not self._shut and self.framing.farewell is not None:
            self.disconnect()  # LEADS answers a goodbye with one
        self._shut = True
        left = self.outbox.abandon()
        self._close()
        self._part()
        return left

    def _part(self) -> None:
        """It is over: part from those that hold it, so that it need not wait for the garbage collector."""
        if self.keeper is not None:
            self.keeper = self.keeper.parted()
        self.outbox.part()

    # LEADS's shape ---------------------------------------------------------------------------------------------------

    def drop_remainder(self) -> None:
        """Forget what was read and not used."""
        self._remainder = self._tail = b""

    def use_remainder(self) -> bytes | None:
        """Take the first message of the remainder; if no whole one is there, read on and return what comes."""
        message, found, rest = self._remainder.partition(self._separator)
        if found:
            self._remainder = rest
            return message
        self._tail += self._remainder
        self._remainder = b""
        return self.receive()

    def with_remainder(self, msg: bytes) -> bytes:
        """Take the first message of what was read, and keep the rest.

        :param msg: what was just read.
        :raises Incomplete: there is no whole message yet; what was read is kept.
        """
        whole = self._tail + self._remainder + msg
        self._tail = b""
        message, found, self._remainder = whole.partition(self._separator)
        if not found:
            self._tail = whole
            raise Incomplete("no whole message has been read yet")
        return message


class Incomplete(CommError):
    """What has been read is no whole message yet: read on. It is no ``OSError``, which would be a lost peer."""


def leads_shaped(connection: ConnectionBase) -> bool:
    """Whether it receives in its own way: then nothing but LEADS's methods is called, as other names may be its own."""
    return type(connection).receive is not ConnectionBase.receive
