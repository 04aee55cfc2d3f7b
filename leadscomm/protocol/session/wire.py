"""The frames of a session: a header of one byte, and what is behind it. ``docs/wire-protocol.md``, "Session".

::

    bit      7 6    5 4 3     2 1 0
           | kind | number  | ack   |

They are messages to the framing below, which cuts the stream and finds damage.
"""

from __future__ import annotations

from typing import Final, NamedTuple

DATAGRAM: Final = 0
DATA: Final = 1
MORE: Final = 2
"""Data that belongs to the same message as the data after it."""
CONTROL: Final = 3

ACK: Final = 0
HELLO: Final = 1
WELCOME: Final = 2
REFUSE: Final = 3
BYE: Final = 4
PING: Final = 5

NUMBERS: Final = 8
"""Data frames of the compact profile are numbered 0 to 7, and then 0 again."""
COUNTS: Final = 63
"""Datagrams are counted 1 to 63, and then 1 again; 0 is not counted."""


class Frame(NamedTuple):
    """A frame taken apart.

    :ivar number: of a data frame; of a control frame, which one it is; of a datagram, its count.
    :ivar ack: the next number that the sender of the frame expects; 0 in a datagram.
    """

    kind: int
    number: int
    ack: int
    payload: bytes


def parse(frame: bytes) -> Frame | None:
    """Take a frame apart; None if it has no header."""
    if not frame:
        return None
    header = frame[0]
    if header < 64:
        return Frame(DATAGRAM, header, 0, frame[1:])
    return Frame(header >> 6, header >> 3 & 7, header & 7, frame[1:])


def datagram(message: bytes, count: int = 0) -> bytes:
    """A message that is not acknowledged.

    :param count: 1 to 63 within a session; 0: not counted.
    """
    return bytes((count,)) + message


def data(payload: bytes, number: int, ack: int, *, more: bool = False) -> bytes:
    """A message, or a piece of one.

    :param more: it is a piece that others follow.
    """
    return bytes(((MORE if more else DATA) << 6 | number << 3 | ack,)) + payload


def control(which: int, body: bytes = b"", ack: int = 0) -> bytes:
    """A frame that is about the session itself."""
    return bytes((CONTROL << 6 | which << 3 | ack,)) + body


def asking_again(ack: int) -> list[bytes]:
    """What makes the peer send again at once what it has under way, if the oldest of it is expected: a PING, or where
    it does not heed that, the second ACK."""
    return [control(PING, ack=ack), control(ACK, ack=ack), control(ACK, ack=ack)]


def next_count(count: int) -> int:
    """The count of the datagram after the one with ``count``; 1 after 0."""
    return count % COUNTS + 1


def counts_missed(last: int, count: int) -> int:
    """How many datagrams were lost between the one counted ``last`` (0: none yet) and the one counted ``count``."""
    return (count - next_count(last)) % COUNTS
