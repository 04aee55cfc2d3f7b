"""The wire between host and device: a length and a text down, bare JSON objects up. No I/O.

Down, from the host::

    length: 4 bytes, most significant first | UTF-8 text, which is JSON     {"type": -1} is a heartbeat

Up, from the device, one after the other with nothing between them::

    {"status_code": 1}                                                      1: it was done; anything else: it was not

To import this module is to let endpoints say ``framing=task-host`` and ``framing=task-device``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol import DEFAULT_MAX_MESSAGE, LengthFraming, register_framing
from leadscomm.protocol.base import Pieces, excerpt

HEARTBEAT: Final = '{"type": -1}'
SUCCEEDED: Final = 1
MAX_DEPTH: Final = 32
"""How deep objects and arrays of one confirmation may lie in each other."""

_NOT_BLANK = re.compile(rb"[^ \t\r\n]")
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'"|\\.?', re.DOTALL)  # of a string; the byte after a backslash ends nothing


def read_object(message: bytes) -> dict[str, Any]:
    """Return the JSON object that a message is.

    :raises ValueError: it is none; the text says why.
    """
    value = json.loads(message.decode())
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object begins with {{, and this is {message[:40]!r}")
    return value


def is_heartbeat(order: dict[str, Any]) -> bool:
    return order.get("type") == -1


def confirmation(status: int) -> bytes:
    """What a device answers to each message; `SUCCEEDED` says that it was done."""
    return json.dumps({"status_code": status}).encode()


class DeviceFraming(LengthFraming):
    """The device's side: texts of a given length come in, bare JSON objects go out."""

    name = "task-device"

    def check(self, message: bytes) -> None:
        super().check(message)
        try:
            read_object(bytes(message))
        except ValueError as error:
            raise LocalProtocolError(f"only JSON objects can be told apart without a length: {error}") from None

    def encode(self, message: bytes) -> bytes:
        self.check(message)
        return bytes(message)

    def encode_all(self, messages: list[bytes]) -> bytes:
        return b"".join(messages)

    def encode_parts(self, message: bytes) -> tuple[bytes, ...]:
        return (message,)


class HostFraming(LengthFraming):
    """The host's side: texts go out with their length, bare JSON objects come in, joined or split anywhere.

    Brackets outside of strings tell where an object ends. In UTF-8 no other character holds the byte of a bracket, a
    quote or a backslash, so nothing is decoded before the object is whole. What is no JSON object ends the stream:
    nobody can say where the next one begins.
    """

    name = "task-host"

    def __init__(self, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        super().__init__(max_message)
        self._held = Pieces()  # the beginning of an object
        self._depth = 0  # how many of its brackets are open; 0: between two objects
        self._quoted = False  # inside a string
        self._escaped = False  # the last byte was a backslash in it

    def feed(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        begin = 0  # of the object in `data`; what is held stands before it
        at = 1 if data and self._escaped else 0  # what to look at next
        self._escaped = self._escaped and not data
        while not self.broken:
            if not self._depth:
                start = _NOT_BLANK.search(data, at)
                if start is None:
                    break
                begin = at = start.start()
                if start[0] != b"{":
                    self._refuse_object(data[at : at + 1], "a confirmation is a JSON object, and begins with {")
                    break
            mark = (_INSIDE if self._quoted else _OUTSIDE).search(data, at)
            at = mark.end() if mark else len(data)
            if self._held.size + at - begin > self.max_message:
                self._refuse_object(self._held.take() + data[begin:at], f"it has no end in {self.max_message} bytes")
            elif mark is None:
                self._held.add(data[begin:])
                break
            elif self._ends(mark[0]):
                self._deliver(self._held.take() + data[begin:at], messages)
            elif self._depth > MAX_DEPTH:
                self._refuse_object(self._held.take() + data[begin:at], f"it has more than {MAX_DEPTH} levels")
        return messages

    @property
    def remainder(self) -> bytes:
        return self._held.peek()

    def clear(self) -> None:
        self._held.clear()
        self._depth, self._quoted, self._escaped = 0, False, False

    def _ends(self, mark: bytes) -> bool:
        """Take note of a mark; whether it ends the object."""
        if mark == b'"':
            self._quoted = not self._quoted
        elif mark == b"\\":
            self._escaped = True
        elif mark in (b"{", b"["):
            self._depth += 1
        elif mark in (b"}", b"]"):
            self._depth -= 1
        return not self._depth

    def _deliver(self, message: bytes, messages: list[bytes]) -> None:
        try:
            read_object(message)
        except ValueError as error:
            self._refuse_object(message, str(error))
        else:
            messages.append(message)

    def _refuse_object(self, seen: bytes, why: str) -> None:
        self.add_fault(f"what begins with {excerpt(seen)} is no confirmation: {why}", broken=True)


register_framing(DeviceFraming.name, DeviceFraming)
register_framing(HostFraming.name, HostFraming)
