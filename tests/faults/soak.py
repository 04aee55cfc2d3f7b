"""``./dev soak``: the long runs of the fault laboratory. Results go into ``soak.json`` and docs/fault-laboratory.md.

Each run ends by itself: after :data:`LIMIT_S` at the latest, or when nothing has come for :data:`STALL_S`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import facts
from benchmarks.report import table, write_between_markers
from leadscomm import connect
from tests.faults.peers import Needs, Peer, Report
from tests.faults.rigs import RIGS, KernelTcpRig, LateUdpRig, Rig, SerialRig, TcpRig

RECORD: Final = Path(__file__).with_name("soak.json")
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "fault-laboratory.md"
MESSAGES: Final = 1_000_000
KILLS: Final = 50
KERNEL_MESSAGES: Final = 10_000
CYCLES: Final = 100_000
RESUMES: Final = 20
LIMIT_S: Final = 1800.0
STALL_S: Final = 180.0
TARGET_S: Final = 600.0
OPTIONS: Final = "reliable=1&send_timeout=120"
MIX: Final = {"drop": 0.2, "dup": 0.1, "reorder": 0.1, "corrupt": 0.02, "seed": 7}
FAULTS: Final = "fault://" + ",".join(f"{name}={value}" for name, value in MIX.items()) + "/"
Result = dict[str, Any]


@contextlib.contextmanager
def laid(kind: type[Rig], options: str = OPTIONS, faults: str = "") -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder, kind(Path(folder), options, faults=faults) as rig:
        yield rig


# The full mix --------------------------------------------------------------------------------------------------------


def mix_udp(messages: int) -> Result:
    """Packets of a real network: lost, doubled and damaged by the kernel, late by a program in between."""
    with laid(LateUdpRig) as rig:
        rig.network.harm(lose=0.2, double=0.1, damage=0.02)
        return through(rig, messages, KILLS)


def mix_tcp(messages: int) -> Result:
    with laid(TcpRig, faults=FAULTS) as rig:
        return through(rig, messages, KILLS)


def mix_serial(messages: int) -> Result:
    with laid(SerialRig, faults=FAULTS) as rig:
        return through(rig, messages, KILLS)


def kernel_tcp(messages: int) -> Result:
    """What the kernel sends again by itself; it doubles its patience each time, so this takes as long as it takes."""
    with laid(KernelTcpRig) as rig:
        rig.network.harm(lose=0.2)
        return through(rig, min(messages, KERNEL_MESSAGES), 0)


def through(rig: Rig, messages: int, kills: int) -> Result:
    """Send so many messages each way, of many sizes, while the connection is killed now and then."""
    rig.server.tell("progress", every=max(1, messages // (kills + 1)))
    began = time.monotonic()
    rig.client.send(messages, size=0)
    rig.server.send(messages, size=0)
    killed = 0
    while killed < kills and time.monotonic() < began + LIMIT_S:
        came = rig.server.wait("progress", STALL_S)["count"]
        rig.cut()
        killed += 1
        say(f"{came:,d} have come, {killed} kills, {came / (time.monotonic() - began):,.0f} messages/s")
    reports = (rig.server.receive(messages, rig.client, LIMIT_S), rig.client.receive(messages, rig.server, LIMIT_S))
    seconds = time.monotonic() - began
    sessions = max(len(peer.told("connect")) for peer in (rig.server, rig.client))
    return {"messages": messages, "kills": killed, "sessions": sessions, **figures(reports, seconds)}


def figures(reports: tuple[Report, Report], seconds: float) -> Result:
    came = sum(sum(report.received.values()) for report in reports)
    return {
        "seconds": round(seconds, 1),
        "rate": round(came / seconds),
        "lost": sum(report.missing for report in reports),
        "doubled": sum(report.doubled for report in reports),
        "overtaken": sum(report.overtaken for report in reports),
        "damaged": sum(report.damaged for report in reports),
        "resent": sum(stats["session"]["resent"] for report in reports for stats in report.stats),
        "megabytes": round(max(report.needs.most_bytes for report in reports) / 1e6),
    }


# Others --------------------------------------------------------------------------------------------------------------


def cycles(count: int) -> Result:
    """Connect, say one message, get it back, leave: again and again."""
    count = min(count, CYCLES)
    samples: list[Needs] = []
    with Peer("server", "tcp://127.0.0.1:0?reliable=1") as server:
        server.tell("answer")
        server.report()  # by now it has heard that
        endpoint = f"tcp://127.0.0.1:{server.port}?reliable=1"
        began = time.monotonic()
        for number in range(count):
            connection = connect(endpoint)
            connection.send(b"there?")
            assert connection.receive(60) == b"there?"
            connection.close()
            if number % 20 == 0:
                server.told("connect")  # else it would wait for somebody to read what it tells
                server.events.clear()
            if number % max(1, count // 20) == count // 20 - 1:
                samples.append(Needs.of(server.pid))
                rate = number / (time.monotonic() - began)
                say(f"{number + 1:,d} cycles, {rate:,.0f} a second, {samples[-1]}")
    first, last = samples[0], samples[-1]
    return {
        "cycles": count,
        "seconds": round(time.monotonic() - began, 1),
        "fds": [first.fds, last.fds],
        "threads": [first.threads, last.threads],
        "megabytes": [round(needs.bytes / 1e6, 1) for needs in (first, last)],
    }


def resume(count: int) -> Result:
    """From the moment when the line is back until the first message has come over it."""
    found: Result = {}
    for name, kind in RIGS.items():
        with laid(kind, "reliable=1&dead_after=1") as rig:
            times = [resumed_after(rig) for _ in range(min(count, RESUMES))]
        found[name] = {"median": round(statistics.median(times), 3), "worst": round(max(times), 3), "times": len(times)}
        say(f"{name}: {found[name]}")
    return found


def resumed_after(rig: Rig) -> float:
    rig.exchange(10)
    rig.pull()
    rig.client.wait("link", up=False)
    rig.server.wait("link", up=False)
    rig.client.send(1)
    rig.server.tell("expect", count=rig.client.ordered)
    rig.plug()
    began = time.monotonic()
    return float(rig.server.wait("complete")["at"]) - began


# What comes of it ----------------------------------------------------------------------------------------------------

RUNS: Final[dict[str, Callable[[int], Result]]] = {
    "udp": mix_udp,
    "tcp": mix_tcp,
    "serial": mix_serial,
    "kernel-tcp": kernel_tcp,
    "cycles": cycles,
    "resume": resume,
}
TITLES: Final = {
    "udp": "UDP, a network that loses, doubles, reorders and damages packets",
    "tcp": "TCP, `fault://` on the session's segments",
    "serial": "serial, `fault://`, an unpaced pseudo-terminal",
    "kernel-tcp": "TCP, a network that loses 20 % of the kernel's packets",
}


def markdown(record: dict[str, Result]) -> str:
    """The page's part that is generated."""
    rows = [messages_row(TITLES[name], record[name]) for name in TITLES if name in record]
    heads = (
        "run",
        "messages",
        "kills",
        "lost / doubled / out of order / damaged",
        "time",
        "messages/s",
        "resent frames",
        "memory",
    )
    lines = table(heads, rows)
    if "cycles" in record:
        lines += ["", cycles_line(record["cycles"])]
    if "resume" in record:
        rows = [resume_row(name, record["resume"][name]) for name in RIGS if name in record["resume"]]
        lines += ["", *table(("a line that was away: resumed after", "median", "worst", "limit"), rows)]
    lines += ["", f"Measured with {facts([])[0]}."]
    return "\n".join(lines) + "\n"


def messages_row(title: str, found: Result) -> Sequence[str]:
    wrong = " / ".join(str(found[key]) for key in ("lost", "doubled", "overtaken", "damaged"))
    return (
        title,
        f"{found['messages']:,d} each way",
        str(found["kills"]),
        wrong,
        f"{found['seconds']:,.0f} s",
        f"{found['rate']:,d}",
        f"{found['resent']:,d}",
        f"{found['megabytes']} MB",
    )


def cycles_line(found: Result) -> str:
    (fds, fds_last), (threads, threads_last) = found["fds"], found["threads"]
    (memory, memory_last) = found["megabytes"]
    return (
        f"{found['cycles']:,d} times connected, one message each way, closed: {found['seconds']:,.0f} s. The server\n"
        f"had {fds} descriptors, {threads} threads and {memory} MB after a twentieth of them, and {fds_last}, "
        f"{threads_last} and {memory_last} MB at the end."
    )


def resume_row(name: str, found: Result) -> Sequence[str]:
    return (name, f"{1000 * found['median']:,.0f} ms", f"{1000 * found['worst']:,.0f} ms", "1,000 ms")


def passed(name: str, found: Result) -> bool:
    """Whether the run reached its target."""
    if name == "cycles":
        return found["fds"][0] == found["fds"][1] and found["threads"][0] == found["threads"][1]
    if name == "resume":
        return all(each["worst"] <= 1.0 for each in found.values())
    clean = not any(found[key] for key in ("lost", "doubled", "overtaken", "damaged")) and found["sessions"] == 1
    return clean and (name == "kernel-tcp" or found["seconds"] <= TARGET_S)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("runs", nargs="*", choices=[[], *RUNS], help=f"which ones: {', '.join(RUNS)}; default: all")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="fewer, for a try, which is not recorded")
    parser.add_argument("--write-docs", action="store_true", help=f"write what was recorded to docs/{PAGE.name}")
    options = parser.parse_args(argv)
    os.nice(5)
    record = json.loads(RECORD.read_text("ascii")) if RECORD.exists() else {}
    failed = []
    names = options.runs or ([] if options.write_docs else list(RUNS))
    for name in names:
        say(f"== {name}")
        found = RUNS[name](options.messages)
        say(json.dumps(found))
        if not passed(name, found):
            failed.append(name)
        if options.messages == MESSAGES:
            record[name] = found
            RECORD.write_text(json.dumps(record, indent=1) + "\n", "ascii")
    if options.write_docs:
        write_between_markers(PAGE, markdown(record))
    print(markdown(record))
    if failed:
        say("target not reached: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
