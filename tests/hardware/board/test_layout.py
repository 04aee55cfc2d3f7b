"""Messages with a declared layout, packed and unpacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscomm import LocalProtocolError, RemoteProtocolError
from leadscomm.hardware.board.layout import Layout, UpTo, f32, i16, u8, u16, u32
from tests.hardware.board.layouts import layouts, messages


class Imu(Layout, number=0x11):
    """What a sensor says."""

    time: Annotated[u32, "milliseconds"]
    heading: f32
    samples: Annotated[list[i16], 2]
    note: Annotated[str, UpTo(4)] = ""
    raw: Annotated[bytes, UpTo(3)] = b""
    ok: bool = True


class Late(Imu, number=0x12):
    """Inherited fields come first."""

    delay: u16 = 7


def test_the_bytes() -> None:
    message = Imu(1, -2.0, [3, -4], "hä", b"\xff", False)
    packed = bytes.fromhex("11 01000000 000000c0 0300fcff 0368c3a4 01ff 00".replace(" ", ""))
    assert message.pack() == packed
    assert Imu.unpack(packed) == message
    assert Imu.longest == 1 + 4 + 4 + 4 + 5 + 4 + 1


def test_inherited_fields_come_first() -> None:
    assert Late(1, 0.0, [0, 0]).pack() == b"\x12" + Imu(1, 0.0, [0, 0]).pack()[1:] + b"\7\0"
    assert [field.name for field in Late.fields][-2:] == ["ok", "delay"]
    assert Imu.fields[0].comment == "milliseconds"


@given(messages())
def test_round_trip(message: Layout) -> None:
    packed = message.pack()
    assert len(packed) <= type(message).longest
    assert type(message).unpack(packed) == message


@given(st.data(), layouts(), st.binary(max_size=40))
def test_any_bytes_give_a_message_or_an_error(data: st.DataObject, layout: type[Layout], received: bytes) -> None:
    if layout.number is not None and data.draw(st.booleans()):
        received = bytes([layout.number]) + received
    try:
        message = layout.unpack(received)
    except RemoteProtocolError:
        return
    assert len(message.pack()) == len(received)  # byte by byte only a NaN may differ


@settings(max_examples=50)
@given(messages(), st.data())
def test_a_cut_message_is_refused(message: Layout, data: st.DataObject) -> None:
    packed = message.pack()
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(RemoteProtocolError):
        type(message).unpack(packed[:cut])
    with pytest.raises(RemoteProtocolError, match="ends after"):
        type(message).unpack(packed + b"\0")


def imu(**values: Any) -> Imu:
    return Imu(**{"time": 1, "heading": 0.0, "samples": [1, 2], **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"time": -1}, r"Imu.time is -1, which u32 does not hold \(0 to 4294967295\)"),
        ({"time": 1 << 32}, "Imu.time is 4294967296, which u32"),
        ({"time": 1.0}, "Imu.time is 1.0, which is no value for u32"),
        ({"time": None}, "Imu.time is None, which is no value for u32"),
        ({"heading": 1e39}, r"Imu.heading is 1e\+39, which f32 does not hold"),
        ({"heading": "1"}, "Imu.heading is '1', which is no value for f32"),
        ({"samples": [1]}, "Imu.samples has 1 elements, not 2"),
        ({"samples": [1, 2, 3]}, "Imu.samples has 3 elements, not 2"),
        ({"samples": [1, 40000]}, r"Imu.samples\[1\] is 40000, which i16 does not hold \(-32768 to 32767\)"),
        ({"samples": 5}, "Imu.samples is 5, which is no list"),
        ({"samples": b"ab"}, "Imu.samples is b'ab', which is no list"),
        ({"note": "hällo"}, "Imu.note has 6 bytes, at most 4"),
        ({"note": "a\0"}, "Imu.note holds a zero, which ends a text in C"),
        ({"note": b"a"}, "Imu.note is b'a', which is no str"),
        ({"raw": b"1234"}, "Imu.raw has 4 bytes, at most 3"),
        ({"raw": "123"}, "Imu.raw is '123', which is no bytes"),
        ({"ok": 1}, "Imu.ok is 1, which is no value for bool"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        imu(**values).pack()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda packed: b"", "Imu begins with 11, and not ''"),
        (lambda packed: b"\x12" + packed[1:], "Imu begins with 11, and not '12'"),
        (lambda packed: packed[:3], r"Imu.time wants 4 more byte\(s\), and there are 2"),
        (lambda packed: packed[:13], r"Imu.note wants 1 more byte\(s\), and there are 0"),
        (lambda packed: packed[:13] + b"\5hallo", "Imu.note has 5 bytes, at most 4"),
        (lambda packed: packed[:13] + b"\2h\xff\0\1", "Imu.note .*can't decode byte 0xff"),
        (lambda packed: packed[:13] + b"\2h\0\0\1", "Imu.note holds a zero"),
        (lambda packed: packed[:-1] + b"\2", "Imu.ok is the byte 02, which is neither 00 nor 01"),
        (lambda packed: packed + b"xy", "Imu ends after 16 bytes, and 18 came"),
    ],
)
def test_what_came_wrong_is_refused(spoil: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said):
        Imu.unpack(spoil(imu().pack()))


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (int, "is no type of a field"),
        (float, "is no type of a field"),
        (list[i16], "is no type of a field"),
        (Annotated[list[int], 4], "is no type of a field"),
        (Annotated[dict[str, u8], 4], "is no type of a field"),
        (Annotated[str, 4], "text has no fixed length"),
        (Annotated[bytes, 0], "0 elements; 1 to 255"),
        (Annotated[bytes, UpTo(256)], "256 elements; 1 to 255"),
    ],
)
def test_a_field_of_no_type_is_refused(hint: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        type("Bad", (Layout,), {"__annotations__": {"x": hint}})


@pytest.mark.parametrize("name", ["class", "float", "pack", "_hidden"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="this name is taken"):
        type("Bad", (Layout,), {"__annotations__": {name: u8}})


def test_a_number_that_is_no_byte_is_refused() -> None:
    with pytest.raises(TypeError, match="number is 256"):
        type("Bad", (Layout,), {"__annotations__": {"x": u8}}, number=256)
