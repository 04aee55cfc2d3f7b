"""The framings of the task executor's wire, by bytes alone."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from examples.task_executor.wire import HEARTBEAT, MAX_DEPTH, DeviceFraming, HostFraming, confirmation
from leadscomm.errors import LocalProtocolError
from leadscomm.protocol import make_framing

DOWN = {  # text: its frame
    HEARTBEAT: "0000000c7b2274797065223a202d317d",
    '{"type": 1, "cmd": "go"}': "000000187b2274797065223a20312c2022636d64223a2022676f227d",
}
UP = "7b227374617475735f636f6465223a20317d"


def test_the_bytes_of_the_original() -> None:
    host, device = make_framing("task-host"), make_framing("task-device")
    for text, frame in DOWN.items():
        assert host.encode(text.encode()).hex() == frame
        assert device.feed(bytes.fromhex(frame)) == [text.encode()]
    assert device.encode(confirmation(1)).hex() == UP
    assert host.feed(bytes.fromhex(UP)) == [b'{"status_code": 1}']


def test_a_length_counts_bytes() -> None:
    assert HostFraming().encode('{"a": "é"}'.encode())[:4] == b"\0\0\0\x0b"


OBJECTS = [
    b"{}",
    b'{"status_code": 1}',
    b'{"a": "}{][", "b": [{"c": []}]}',
    '{"é": "日本 \\" \\\\"}'.encode(),
    rb'{"a\\": "\"", "b": "\u00e9\\\\"}',
]


def test_objects_joined_and_split_anywhere() -> None:
    stream = b" \n".join(OBJECTS) + b"".join(OBJECTS)
    for first in range(len(stream)):
        for size in (1, 2, 7, len(stream)):
            framing = HostFraming()
            cuts = [0, *range(first, len(stream), size), len(stream)]
            got = [message for begin, end in pairwise(cuts) for message in framing.feed(stream[begin:end])]
            assert got == OBJECTS * 2
            assert not framing.faults
            assert framing.finish() is None


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"1", "begins with {"),
        (b'"{}"', "begins with {"),
        (b"\xff", "begins with {"),
        (b"{]", "Expecting"),
        (b"{'a': 1}", "Expecting"),
        (b'{"a": \xff}', "utf-8"),
        (b'{"a": ' + b"[" * MAX_DEPTH, "levels"),
        (b'{"a": "' + b"x" * 100, "no end in 64 bytes"),
        (b'{"a": "' + b"x" * 100 + b'"}', "no end in 64 bytes"),
    ],
)
def test_what_is_no_confirmation_ends_the_stream(stream: bytes, why: str) -> None:
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        framing = HostFraming(max_message=64)
        got = [message for piece in (OBJECTS[1], *pieces, OBJECTS[1]) for message in framing.feed(piece)]
        assert got == [OBJECTS[1]]
        (fault,) = framing.take_faults()
        assert why in str(fault)
        assert framing.broken
        assert framing.remainder == b""


def test_a_stream_that_ends_inside_an_object() -> None:
    framing = HostFraming()
    assert framing.feed(b'{"a": {}') == []
    assert framing.remainder == b'{"a": {}'
    assert "ended inside a message" in str(framing.finish())
    assert framing.feed(b"{}") == [b"{}"]


def test_any_bytes_give_the_same_however_they_are_cut() -> None:
    chance = random.Random(5)
    for _ in range(2000):
        stream = bytes(chance.choices(b'{}[]"\\ :,1a\xc3\xa9', k=chance.randrange(60)))
        stream = b"{}" * chance.randrange(2) + stream
        whole, cut = HostFraming(max_message=40), HostFraming(max_message=40)
        messages = whole.feed(stream)
        assert messages == [message for i in range(len(stream)) for message in cut.feed(stream[i : i + 1])]
        assert list(map(str, whole.faults)) == list(map(str, cut.faults))
        assert whole.remainder == cut.remainder
        assert all(isinstance(json.loads(message), dict) for message in messages)


@pytest.mark.parametrize("message", [b"1", b"[]", b"{", b'"x"', b"", b"\xff"])
def test_a_device_sends_nothing_but_objects(message: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="only JSON objects"):
        DeviceFraming().encode(message)


def test_a_device_writes_objects_bare() -> None:
    framing = DeviceFraming()
    assert framing.encode_all([b"{}", b"{}"]) == b"{}{}"
    assert framing.encode_parts(b"{}") == (b"{}",)
