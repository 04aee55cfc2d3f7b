"""CRCs: the same as crcmod's, whoever computes them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator

import crcmod.predefined  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscomm.errors import EndpointError
from leadscomm.protocol.framing import crc
from leadscomm.protocol.framing.crc import NAMES, Crc, _say_slow


@pytest.fixture
def not_yet_said() -> Iterator[None]:
    _say_slow.cache_clear()
    yield
    _say_slow.cache_clear()


@pytest.fixture
def pure_python(monkeypatch: pytest.MonkeyPatch, not_yet_said: None) -> None:
    monkeypatch.setattr(importlib.import_module("crcmod.crcmod"), "_usingExtension", False)


def test_every_name_of_crcmod_is_known() -> None:
    assert len(NAMES) == len(crcmod.predefined._crc_definitions_by_name) > 40


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=20)
@given(data=st.binary(max_size=300))
def test_the_value_is_crcmods(name: str, data: bytes) -> None:
    assert crc(name).value(data) == crcmod.predefined.mkPredefinedCrcFun(name)(data)


@pytest.mark.parametrize("name", ["crc-ccitt-false", "crc-aug-ccitt", "xmodem", "crc-16-genibus"])
def test_the_residue_that_a_board_checks(name: str) -> None:
    chosen = crc(name)
    register = crcmod.mkCrcFun(0x11021, initCrc=chosen.init, rev=False)
    assert register(b"payload" + chosen.wire(b"payload")) == 0x1D0F


def test_crc_32_travels_as_its_ordinary_value() -> None:
    assert crc("crc-32").wire(b"123456789").hex() == "cbf43926"


def test_a_name_may_be_written_as_crcmod_allows() -> None:
    assert crc("CRC32") is crc("crc-32") is crc("Crc-32")


@pytest.mark.parametrize("name", ["crc-33", "", 5])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(EndpointError, match=r"known ones are crc-8, .*crc-32"):
        crc(name)


def make_two() -> None:
    Crc("crc-32c")
    Crc("crc-64")


def test_a_slow_crcmod_is_said_once(pure_python: None) -> None:
    with pytest.warns(RuntimeWarning, match="without its C extension.*pip install") as said:
        make_two()
    assert len(said) == 1


def test_a_slow_crcmod_is_not_said_where_it_is_not_used(pure_python: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("crc-32", "jamcrc", "posix", "crc-ccitt-false", "x-25", "kermit"):
            Crc(name)


def test_a_fast_crcmod_is_not_said(monkeypatch: pytest.MonkeyPatch, not_yet_said: None) -> None:
    monkeypatch.setattr(importlib.import_module("crcmod.crcmod"), "_usingExtension", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Crc("crc-32c")
