"""Every error that leadscomm raises, under one root.

::

    CommError
    ├── EndpointError         (ValueError)       an endpoint URL or an option that cannot be right
    ├── CallbackError         (TypeError)        what was given as a callback cannot be one, or is called for nothing
    ├── ServiceError          (RuntimeError)     start, close or join at the wrong moment
    ├── MissingExtra          (ImportError)      an optional package is not installed
    ├── BuildFailed                              a sketch could not be compiled
    ├── FlashFailed                              a program could not be brought onto a board
    ├── MissingTool           (FileNotFoundError)  a program or library of the system is not installed
    ├── FirmwareError         (ValueError)       a firmware and a board do not fit together
    ├── FirmwareCrashed       (RuntimeError)     firmware on a virtual board has run into nowhere
    ├── BoardError            (RuntimeError)     a board understood an order, and did not carry it out
    ├── ProtocolError
    │   ├── LocalProtocolError   (ValueError)       our mistake: this cannot be sent
    │   └── RemoteProtocolError  (ConnectionError)  theirs: this should never have been received
    ├── ConnectFailed         (ConnectionError)  the conversation could not be opened
    │   └── AuthenticationFailed (PermissionError)  a key or certificate does not fit
    ├── ConnectionLost        (ConnectionError)  the conversation ended, or never began
    ├── JournalError          (OSError)          the file of durable messages cannot be used
    │   └── JournalFull                             it has no room; nothing was stored
    ├── DeliveryError         (ConnectionError)  messages that were accepted and could not be delivered
    ├── TransferError         (ConnectionError)  a stream did not arrive whole
    └── CommTimeout           (TimeoutError)     it took longer than allowed
        └── OutboxFull           (BlockingIOError)  the peer does not take what is sent

Where a builtin exception fits it is a base as well, so ``except OSError`` (LEADS's ``except IOError``) goes on working.
Each text says what was seen and, where there is one, the mend.
"""

from __future__ import annotations

from collections.abc import Sequence


class CommError(Exception):
    """The root of all errors raised by leadscomm."""


class EndpointError(CommError, ValueError):
    """An endpoint URL or an option is not valid; the text names the valid ones."""


class ServiceError(CommError, RuntimeError):
    """A service was started, closed or joined in a state that does not allow it."""


class CallbackError(CommError, TypeError):
    """What was given as a callback cannot be one, or would be called for nothing; the text says what to write."""


class MissingExtra(CommError, ImportError):
    """An optional package is needed; the text names the command that installs it."""


class BuildFailed(CommError):
    """A sketch could not be compiled.

    :ivar summary: that in one line.
    :ivar output: what the compiler said, with the sketch's own files and lines.
    """

    def __init__(self, summary: str, output: str = "") -> None:
        super().__init__(f"{summary}\n{output}".strip())
        self.summary = summary
        self.output = output


class FlashFailed(CommError):
    """A program could not be brought onto a board; the text says what the board holds now, if that has changed."""


class MissingTool(CommError, FileNotFoundError):
    """A program or a library of the system is needed; the text names the command that installs it."""


class FirmwareError(CommError, ValueError):
    """A firmware file cannot be read, or is for another board. Nothing was changed."""


class FirmwareCrashed(CommError, RuntimeError):
    """Firmware on a virtual board has crashed; the text says where and why."""


class BoardError(CommError, RuntimeError):
    """A board understood an order, and did not carry it out; the text says why.

    :ivar status: the board's reason, as docs/boards.md numbers them.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class ProtocolError(CommError):
    """The bytes and the protocol do not fit together."""


class LocalProtocolError(ProtocolError, ValueError):
    """This side tried to send what the framing cannot carry. Nothing was sent."""


class RemoteProtocolError(ProtocolError, ConnectionError):
    """The peer sent what the framing does not allow; the text says what was seen."""


class ConnectFailed(CommError, ConnectionError):
    """A connection could not be opened, or an endpoint could not be listened on."""


class AuthenticationFailed(ConnectFailed, PermissionError):
    """The peer's key or certificate, or ours, was refused."""


class ConnectionLost(CommError, ConnectionError):
    """There is no connection: it ended, was closed, or was never opened."""


class DeliveryError(CommError, ConnectionError):
    """Messages that ``send`` had accepted could not be delivered.

    :param sent: how many of the messages, from the first, were sent, if only in part.
    :ivar messages: the messages, as they were given to ``send``: first those that were sent, oldest first, and then
        those that were not; in a session with lanes, each lane's in order.
    :ivar unanswered: of these, those that were sent, if only in part, and not answered: they may have arrived.
    :ivar unsent: of these, those that were never sent: they have not arrived.
    """

    def __init__(self, text: str, messages: Sequence[bytes] = (), sent: int = 0) -> None:
        super().__init__(text)
        self.messages = tuple(messages)
        self.unanswered, self.unsent = self.messages[:sent], self.messages[sent:]


class TransferError(CommError, ConnectionError):
    """A stream did not arrive whole; the text says why, and how to go on.

    :ivar moved: how many of its bytes the receiver has.
    :ivar size: of how many; None: unknown.
    """

    def __init__(self, text: str, moved: int = 0, size: int | None = None) -> None:
        super().__init__(text)
        self.moved = moved
        self.size = size


class JournalError(CommError, OSError):
    """The file of durable messages is in use, damaged, closed, or not one; the text names the mend."""


class JournalFull(JournalError):
    """The disk, or the journal's limit, has no room for a message. Nothing was stored; what is stored stays."""


class CommTimeout(CommError, TimeoutError):
    """Something took longer than its timeout."""


class OutboxFull(CommTimeout, BlockingIOError):
    """The peer does not take what is sent as fast as it is sent. The message was not sent."""
