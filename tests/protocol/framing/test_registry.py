"""Framings by name, with options as an endpoint gives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leadscomm.errors import EndpointError
from leadscomm.protocol import (
    FRAMINGS,
    CobsFraming,
    Framing,
    FramingSpec,
    SeparatorFraming,
    framing_options,
    make_framing,
    register_framing,
)


class Fixed(Framing):
    """Messages of one size: the smallest framing there can be."""

    name = "fixed"

    def __init__(self, size: str = "4", *, max_message: int = 100) -> None:
        super().__init__(max_message)
        self.size = int(size)

    def encode(self, message: bytes) -> bytes:
        self.check(message)
        return message.ljust(self.size, b" ")

    def feed(self, data: bytes) -> list[bytes]:
        return [data[i : i + self.size].rstrip() for i in range(0, len(data), self.size)]


@pytest.fixture
def fixed() -> Iterator[None]:
    register_framing("fixed", Fixed)
    yield
    del FRAMINGS["fixed"]


@pytest.mark.parametrize("name", ["separator", "line", "length", "cobs", "datagram"])
def test_a_framing_by_name(name: str) -> None:
    framing = make_framing(name)
    assert framing.name == name
    assert make_framing(name) is not framing
    assert make_framing(name, max_message="1K").max_message == 1024


def test_default_sizes() -> None:
    ours = [name for name, factory in FRAMINGS.items() if factory.__module__.startswith("leadscomm.")]
    sizes = {name: make_framing(name).max_message for name in ours}
    assert sizes == {**dict.fromkeys(["separator", "line", "length", "cobs", "board"], 1 << 20), "datagram": 65507}


def test_options() -> None:
    assert framing_options("separator") == ("separator", "max_message")
    assert framing_options("cobs") == ("crc", "max_message")
    framing = make_framing("cobs", crc="crc-ccitt-false")
    assert isinstance(framing, CobsFraming)
    assert framing.crc == "crc-ccitt-false"


def test_unknown_names_name_the_known_ones() -> None:
    with pytest.raises(
        EndpointError, match="no framing is called 'slip'; the known ones are separator, line, length, cobs, "
    ):
        make_framing("slip")
    with pytest.raises(EndpointError, match="framing=cobs has no option 'separator'; its options: crc, max_message"):
        make_framing("cobs", separator=b";")
    with pytest.raises(EndpointError, match="crc-32"):
        make_framing("cobs", crc="crc-33")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (7, 7),
        ("65536", 65536),
        ("64K", 65536),
        ("64k", 65536),
        ("64 KiB", 65536),
        ("1M", 1 << 20),
        ("2GB", 2 << 30),
        ("9B", 9),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert make_framing("separator", max_message=text).max_message == size


@pytest.mark.parametrize("text", ["", "K", "1.5K", "-1", "1T", "0x10", 1.5, None, True, 0, "0", "6K4"])
def test_bad_sizes(text: object) -> None:
    with pytest.raises(EndpointError):
        make_framing("separator", max_message=text)


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        (b"\\n", b"\\n"),
        (bytearray(b";"), b";"),
        (";", b";"),
        ("€", "€".encode()),
        (r"\r\n", b"\r\n"),
        (r"\t\0\\", b"\t\0\\"),
        (r"\x00\xFFff", b"\x00\xffff"),
        ("\r\n", b"\r\n"),
        ("\\", b"\\"),
    ],
)
def test_separators(text: object, separator: bytes) -> None:
    framing = make_framing("separator", separator=text)
    assert isinstance(framing, SeparatorFraming)
    assert framing.separator == separator


@pytest.mark.parametrize("text", ["", b"", r"\q", r"\x0", ";\\", "\ufffd"])
def test_bad_separators(text: object) -> None:
    with pytest.raises(EndpointError, match="separator"):
        make_framing("separator", separator=text)


def test_a_spec_makes_a_fresh_framing_for_each_connection() -> None:
    spec = FramingSpec("separator", {"separator": "|"})
    one, other = spec.make(), spec.make()
    one.feed(b"half")
    assert other.remainder == b""
    assert isinstance(one, SeparatorFraming)
    assert one.separator == b"|"


def test_specs_compare_by_what_they_mean() -> None:
    spec = FramingSpec("separator", {"max_message": "64K", "separator": ";"})
    same = FramingSpec("separator", {"separator": b";", "max_message": 65536})
    assert spec == same
    assert hash(spec) == hash(same)
    assert spec != FramingSpec("separator")
    assert FramingSpec("line") != FramingSpec("length")
    with pytest.raises(AttributeError):
        spec.name = "line"  # type: ignore[misc]


def test_a_spec_is_checked_at_once() -> None:
    for name, options in (
        ("slip", {}),
        ("line", {"crc": "crc-32"}),
        ("cobs", {"crc": "x"}),
        ("line", {"max_message": 0}),
    ):
        with pytest.raises(EndpointError):
            FramingSpec(name, options)


def test_a_framing_of_ones_own(fixed: None) -> None:
    framing = make_framing("fixed", size="2", max_message="8K")
    assert framing.max_message == 8192
    assert framing.encode_all([b"a", b"bc"]) == b"a bc"
    assert framing.encode_parts(b"a") == (b"a ",)
    assert framing.feed(b"a bc") == [b"a", b"bc"]
    framing.clear()
    assert (framing.farewell, framing.remainder, framing.finish(), framing.take_faults()) == (None, b"", None, [])
    with pytest.raises(EndpointError, match="its options: size, max_message"):
        make_framing("fixed", sise="2")


def test_a_factory_may_have_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRAMINGS, "plain", lambda: Fixed())
    with pytest.raises(EndpointError, match="its options: none"):
        make_framing("plain", size="2")


def test_names_are_given_once(fixed: None) -> None:
    register_framing("fixed", Fixed)
    with pytest.raises(EndpointError, match="already"):
        register_framing("separator", Fixed)
    with pytest.raises(EndpointError, match="letters"):
        register_framing("my framing", Fixed)


@pytest.mark.parametrize("message", [b"a", bytearray(b"a")])
def test_the_check_of_the_base(message: bytes) -> None:
    Fixed().check(message)
    with pytest.raises(TypeError):
        Fixed().check("a")  # type: ignore[arg-type]
