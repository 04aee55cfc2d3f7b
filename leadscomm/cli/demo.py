"""``leadscomm demo``: a server and its clients, and a board; then hosts and devices whose cables are pulled."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final, TextIO

from leadscomm.cli.demonstration import pulled
from leadscomm.cli.demonstration.board_link import BoardLink, companion
from leadscomm.cli.demonstration.display import NOT_SHOWN, Display, LiveDisplay, PlainDisplay, can_write, is_capable
from leadscomm.cli.demonstration.link import Link
from leadscomm.cli.demonstration.pty_cable import PtyCable, can_make
from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.wording import WIDTH, duration, one_line, wrapped
from leadscomm.errors import CommError

SECONDS: Final = 6.0
_STARTS_WITHIN_S: Final = 20.0
_SAMPLE_S: Final = 0.7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "--seconds",
        type=arguments.some_time,
        default=SECONDS,
        metavar="N",
        help=f"how long the traffic lasts (default {SECONDS:g})",
    )
    parser.add_argument("--plain", action="store_true", help="append lines instead of redrawing; as in a pipe")


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Show it. Exit code 1 if a link delivered nothing, or lost a message."""
    make = LiveDisplay if is_capable(out) and not args.plain else PlainDisplay
    micro = "µs" if can_write(out, "µ") else "us"
    links: list[Link] = []
    display = make(out, lambda: table(links, micro), args.seconds, "what is said -> what is answered")
    print("\n".join(_introduction()), file=out, flush=True)
    try:
        with ExitStack() as stack:
            _make_links(links, display, stack)
            _show(links, display)
    finally:
        display.end()
    print("\n".join(summary(links)), file=out)
    print(file=out)
    devices = pulled.make_devices()
    display = make(out, lambda: pulled.table(devices), args.seconds, "what becomes of the links")
    try:
        pulled.run(devices, display, out)
    finally:
        display.end()
    print("\n".join(pulled.summary(devices)), file=out)
    faults = [link.fault() for link in links] + [device.fault() for device in devices]
    return 1 if any(faults) else 0


def _introduction() -> list[str]:
    text = (
        "A server in this process answers every message, over three links. The client of each link is a process of its "
        "own: it sends a burst and then some single messages ten times a second, and checks every answer. A fourth "
        "link leads to an emulated Arduino at 115,200 baud, which says again what it is told. "
        "`leadscomm bench` measures how much is possible."
    )
    return [*wrapped(text), ""]


def _make_links(links: list[Link], display: Display, stack: ExitStack) -> None:
    """Fill ``links``; they and what they need are closed by ``stack``."""
    links.append(Link("tcp", "tcp://127.0.0.1:0", 1000, display.happened))
    links.append(Link("udp", "udp://127.0.0.1:0", 100, display.happened))
    links.append(_serial_link(display, stack))
    links.append(_board_link(display))
    for link in links:
        stack.enter_context(link)
    stack.callback(_stop, links)  # all are asked to end before the first is waited for


def _serial_link(display: Display, stack: ExitStack) -> Link:
    """The serial line is a pair of pseudo terminals, where there are such."""
    missing = ""
    ends: tuple[str, ...] = ("", "")
    if can_make():
        try:
            ends = stack.enter_context(PtyCable()).ends
        except OSError as error:
            missing = f"not shown: this system gives no pseudo terminal ({error.strerror})"
    else:
        missing = "not shown: this system has no pseudo terminals to make a serial line of"
    urls = [f"serial://{path}?baud=115200" for path in ends]
    link = Link("serial", urls[0], 50, display.happened, dials=urls[1])
    link.missing = missing
    return link


def _board_link(display: Display) -> Link:
    """The board is a virtual one, where there are the tools for it."""
    link = BoardLink(display.happened)
    try:
        companion()
    except CommError as error:
        link.missing = f"not shown: {one_line(error)}"
    return link


def _stop(links: Sequence[Link]) -> None:
    for link in links:
        link.stop()


def _show(links: Sequence[Link], display: Display) -> None:
    """Start everything, show it until the time is over, and wait for the last words."""
    for link in links:
        if not link.missing:
            link.start()
    deadline = time.monotonic() + _STARTS_WITHIN_S
    for link in links:
        if not link.missing:
            link.begun.wait(max(0.0, deadline - time.monotonic()))
    display.begin()
    sampled = shown = 0.0
    while display.elapsed() < display.seconds and not all(link.missing or link.trouble for link in links):
        if display.elapsed() >= sampled:
            sampled = display.elapsed() + _SAMPLE_S
            for link in links:
                link.sample = True
        if display.elapsed() >= shown:
            shown = display.elapsed() + display.period
            display.update()
        time.sleep(min(display.period, _SAMPLE_S, max(0.0, display.seconds - display.elapsed())))
    _stop(links)
    for link in links:
        link.finish()
    display.update()


def table(links: Sequence[Link], micro: str) -> list[str]:
    """The figures: a heading, and a line for each link."""
    head = f"{'link':<8}{'messages':>12}{'answered':>12}{'lost':>7}{'per second':>12}"
    return [f"{head}{'round trip p50':>17}{'p99':>12}", *(_row(link, micro) for link in links)]


def _row(link: Link, micro: str) -> str:
    if link.missing:
        return f"{link.name:<8}{NOT_SHOWN}"
    if link.trouble and not link.report.sent:
        return f"{link.name:<8}{link.trouble}"[:WIDTH]
    report = link.report
    if not report.sent:
        return f"{link.name:<8}is starting"
    p50, p99 = (duration(value, micro) if value else "" for value in (report.p50, report.p99))
    counts = f"{report.sent:>12,}{report.answered:>12,}{link.lost():>7,}{link.rate:>12,.0f}"
    return f"{link.name:<8}{counts}{p50:>17}{p99:>12}"


def summary(links: Sequence[Link]) -> list[str]:
    """How it went."""
    shown = [link for link in links if not link.missing]
    faulty = [link for link in shown if link.fault()]
    total = sum(link.report.sent for link in shown)
    lines = [line for link in links if link.missing for line in wrapped(f"{link.name}: {link.missing}", "  ")]
    if faulty:
        return lines + [line for link in faulty for line in wrapped(f"{link.name}: {link.fault()}", "  ")]
    text = (
        f"{total:,} messages over {len(shown)} links between {len(shown) + 1} processes: every one arrived and was "
        "answered, none was lost."
    )
    return lines + wrapped(text)
