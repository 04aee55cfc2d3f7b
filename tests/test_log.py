"""L: LEADS's logger over the standard library's."""

from __future__ import annotations

import inspect
import io
import logging
import sys

import pytest

from leadscomm import L, Level
from leadscomm.log import Logger


@pytest.fixture(autouse=True)
def all_levels():
    yield
    L.debug_level(Level.DEBUG)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def said(printed):
    return [line.rpartition("] ")[2] for line in printed.splitlines()]


@pytest.mark.parametrize("name", ["debug", "info", "warn", "error"])
def test_the_arguments_are_those_of_leads(name):
    parameters = inspect.signature(getattr(L, name)).parameters
    assert list(parameters) == ["msg", "sep", "end", "f"]
    assert parameters["sep"].default == " "
    assert parameters["end"].default == "\n"
    assert parameters["f"].default == (
        Logger.REGULAR,
        {"debug": Logger.YELLOW, "info": None}.get(name, Logger.RED),
        None,
    )


def test_it_prints_level_place_time_and_text(capsys):
    L.info("one", 2, b"three", sep="-")
    printed = capsys.readouterr().out
    assert printed.startswith("[INFO] [test_it_prints_level_place_time_and_text] [20")
    assert said(printed) == ["one-2-b'three'"]


def test_the_end_is_not_added_twice(capsys):
    L.warn("a", end="")
    L.error("b", end="!\n")
    printed = capsys.readouterr().out
    assert printed.startswith("[WARN] ")
    assert "] a[ERROR] " in printed
    assert printed.endswith("] b!\n")


def test_percent_signs_are_text(capsys):
    L.info("100 %s")
    assert said(capsys.readouterr().out) == ["100 %s"]


def test_colours_are_for_terminals(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    L.info("plain")
    L.info("bold", f=(L.BOLD, L.GREEN, L.BLUE))
    L.error("red")
    plain, bold, red = terminal.getvalue().splitlines()
    assert plain.startswith("\033[0m[INFO]")
    assert bold.startswith("\033[1;32;44m[INFO]")
    assert bold.endswith("bold\033[0m")
    assert red.startswith("\033[0;31m[ERROR]")


def test_levels(capsys):
    assert [level.name for level in Level] == ["DEBUG", "INFO", "WARN", "ERROR"]
    assert L.debug_level() is Level.DEBUG
    for level in Level:
        assert L.debug_level(level) is None
        assert L.debug_level() is level
        for name in ("debug", "info", "warn", "error"):
            getattr(L, name)(name)
        assert said(capsys.readouterr().out) == ["debug", "info", "warn", "error"][level:]


def test_the_last_ten_are_remembered(capsys):
    L.debug_level(Level.ERROR)
    for number in range(20):
        L.info(number)
    assert L.history_messages() == tuple(str(number) for number in range(10, 20))


def test_it_is_a_logger_of_the_standard_library(caplog, capsys):
    L.warn("to whom it may concern")
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == (
        "leadscomm.L",
        logging.WARNING,
        "to whom it may concern",
    )
    assert record.funcName == "test_it_is_a_logger_of_the_standard_library"


@pytest.mark.parametrize("name", ["", "leadscomm", "leadscomm.L"])
def test_nothing_is_printed_twice(capsys, name):
    stream = sys.stderr
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        L.info("once")
    finally:
        logger.removeHandler(handler)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "once\n"


def test_a_handler_that_writes_to_a_file_is_no_console(capsys):
    file = io.StringIO()
    handler = logging.StreamHandler(file)
    logging.getLogger("leadscomm").addHandler(handler)
    try:
        L.info("both")
    finally:
        logging.getLogger("leadscomm").removeHandler(handler)
    assert said(capsys.readouterr().out) == ["both"]
    assert file.getvalue() == "both\n"


def test_a_program_without_a_console(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    L.info("nobody sees it")


def test_a_console_that_is_closed_harms_nobody(monkeypatch, capsys):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    L.info("nobody sees it")
    assert "Logging error" in capsys.readouterr().err


def test_the_level_of_the_standard_logger_counts():
    logging.getLogger("leadscomm.L").setLevel(logging.CRITICAL)
    assert L.debug_level() is Level.ERROR


def test_a_logger_of_ones_own(capsys):
    logger = Logger("mine.own")
    again = Logger("mine.own")
    logger.info("x")
    again.info("y")
    assert said(capsys.readouterr().out) == ["x", "y"]
