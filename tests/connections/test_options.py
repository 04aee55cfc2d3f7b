"""The forms of options: what is read, and what is said of what cannot be."""

from __future__ import annotations

import math

import pytest

from leadscomm.connections import options


@pytest.mark.parametrize("value", ["1", "true", "Yes", " on ", True, 1])
def test_a_flag_that_is_up(value):
    assert options.flag(value) is True


@pytest.mark.parametrize("value", ["0", "FALSE", "no", "off", False, 0])
def test_a_flag_that_is_down(value):
    assert options.flag(value) is False


@pytest.mark.parametrize(
    ("value", "read"), [("65536", 65536), ("64K", 65536), ("8M", 8 << 20), ("1GiB", 1 << 30), (1, 1), ("12 b", 12)]
)
def test_a_size(value, read):
    assert options.size(value) == read


@pytest.mark.parametrize(("value", "read"), [("1", 1), (7, 7), ("007", 7)])
def test_a_count(value, read):
    assert options.count(value) == read


@pytest.mark.parametrize(("value", "read"), [("0", 0.0), ("1.5", 1.5), (2, 2.0), ("1e-3", 0.001)])
def test_seconds(value, read):
    assert options.seconds(value) == read


@pytest.mark.parametrize(("value", "read"), [("600", 0o600), (0o600, 0o600), ("0777", 0o777), ("0o666", 0o666)])
def test_permissions(value, read):
    assert options.octal(value) == read


def test_one_of_some_words_or_numbers():
    assert options.one_of("on", "off")("on") == "on"
    read = options.one_of(1, 1.5, 2)
    assert [read(value) for value in ("1", 1, 1.0, "1.5", 1.5, 2.0)] == [1, 1, 1, 1.5, 1.5, 2]


@pytest.mark.parametrize(("value", "read"), [("7", 7), (-3, -3), ("0", 0)])
def test_a_number(value, read):
    assert options.number(value) == read


@pytest.mark.parametrize(("value", "read"), [("0", 0.0), (0.2, 0.2), ("1", 1.0), (1, 1.0)])
def test_a_share(value, read):
    assert options.share(value) == read


def test_a_secret_is_bytes():
    assert options.secret(b"key") == b"key"


@pytest.mark.parametrize(
    ("read", "value", "mend"),
    [
        (options.flag, "maybe", "write 1 or 0"),
        (options.flag, "", "write 1 or 0"),
        (options.size, "0", "above 0"),
        (options.size, "-5", "such as 65536, 64K or 8M"),
        (options.size, "much", "such as 65536, 64K or 8M"),
        (options.size, True, "such as 65536, 64K or 8M"),
        (options.count, "0", "whole number above 0"),
        (options.count, "many", "whole number above 0"),
        (options.count, 1.5, "whole number above 0"),
        (options.count, [], "whole number above 0"),
        (options.seconds, "-1", "seconds, 0 or more"),
        (options.seconds, "soon", "seconds, 0 or more"),
        (options.seconds, math.nan, "seconds, 0 or more"),
        (options.seconds, "inf", "seconds, 0 or more"),
        (options.seconds, [], "seconds, 0 or more"),
        (options.octal, "rw-", "octal, such as 600"),
        (options.octal, "7777", "octal, such as 600"),
        (options.octal, -1, "octal, such as 600"),
        (options.one_of("on", "off", "keep"), "up", "write on, off or keep"),
        (options.one_of(1, 1.5, 2), "3", r"write 1, 1\.5 or 2"),
        (options.secret, "text", "write bytes"),
        (options.number, "7.5", "write a whole number"),
        (options.number, "many", "write a whole number"),
        (options.share, "1.1", "from 0 to 1, such as 0.2"),
        (options.share, math.nan, "from 0 to 1, such as 0.2"),
        (options.share, [], "from 0 to 1, such as 0.2"),
    ],
)
def test_what_cannot_be_says_what_can(read, value, mend):
    with pytest.raises(ValueError, match=mend):
        read(value)
