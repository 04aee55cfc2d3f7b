"""A peer's words become printable text of one line, wherever they are decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.entities.records.groups import decode as read_groups
from leadscomm.protocol.records.stream_records import Drop, Offer, Refuse, read
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.words import UNKNOWN, marked, printable, unmarked, words

EVIL = b"\x1b]0;owned\x07\x1b[2J\r\n+ admin"
SHOWN = "�]0;owned��[2J��+ admin"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"arm 3", "arm 3"),
        ("größe – 大".encode(), "größe – 大"),
        (EVIL, SHOWN),
        (b"\xff\xfe", UNKNOWN * 2),
        ("a\u202egnp.exe".encode(), "a�gnp.exe"),
        ("\u2066\u2028\u0085\u200b".encode(), UNKNOWN * 4),
        (b"\xed\xa0\x80", UNKNOWN * 3),  # a lone surrogate
        (b"\0\t\x7f", UNKNOWN * 3),
        (b"", ""),
    ],
)
def test_what_does_not_print_is_shown_as_unknown(said: bytes, shown: str) -> None:
    assert words(said) == shown


@given(st.binary())
def test_whatever_comes_can_be_printed_and_is_not_longer(said: bytes) -> None:
    text = words(said)
    assert text.isprintable()
    assert len(text) <= len(said)
    assert printable(text) == text


def test_names_of_peers_groups_and_streams_and_reasons_are_made_printable() -> None:
    hello = Handshake(epoch=7, tag=EVIL.decode()).hello()
    said = Handshake.decode(hello[1:])
    assert said is not None
    assert said.tag == SHOWN
    assert read_groups(bytes((3, len(EVIL))) + EVIL) == {SHOWN}
    offer = read(Offer(1, 5, EVIL.decode(), True).record())
    assert isinstance(offer, Offer)
    assert offer.name == SHOWN
    for record in (Drop(1, 2, EVIL.decode()), Refuse(1, 2, EVIL.decode())):
        refused = read(record.record())
        assert isinstance(refused, type(record))
        assert SHOWN in refused.reason
        assert refused.reason.isprintable()


@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_text_loses_its_mark(coding: str) -> None:
    data = "\ufeffgröße\r\n".encode(coding)
    assert marked(data)
    assert unmarked(data) == "größe\r\n".encode()


@pytest.mark.parametrize("data", [b"plain", b"", b"\xef\xbb\xbf\xff", b"\xff\xfe\0\0x", b"\xff\xfe\x01\0"])
def test_what_is_no_text_behind_a_mark_stays_as_it_is(data: bytes) -> None:
    assert unmarked(data) == data
