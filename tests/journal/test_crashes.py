"""Journals whose programs are killed, or whose disk fails: what ``store`` and ``take_in`` have promised holds."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from leadscomm.journal.journal import Journal

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "tests.journal.journal_program"]
STRACE = pytest.mark.needs("strace", "apt-get install strace")
CALLS = "trace=pwrite64,write,fsync,fdatasync,openat"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and Unix sockets")


# Synced before it is said --------------------------------------------------------------------------------------------


def traced(folder: Path, path: Path, steps: list[str], *options: str) -> tuple[list[str], list[str]]:
    """What the system was asked for by a program that stores and takes in; and what it said of each."""
    log = folder / "trace"
    strace = ["strace", "-f", "-y", "-s", "4200", "-o", str(log), "-e", CALLS, *options]
    done = subprocess.run([*strace, *PROGRAM, "steps", str(path), *steps], capture_output=True, text=True, cwd=ROOT)
    if "ptrace" in done.stderr or not log.exists():
        pytest.skip(f"strace is not allowed to trace here: {done.stderr.strip()}")
    return log.read_text(encoding="utf-8", errors="replace").splitlines(), done.stdout.splitlines()


def saying(calls: list[str], said: str) -> int:
    """Which call says it."""
    (index,) = [index for index, call in enumerate(calls) if f'"{said}\\n"' in call and " write(1<" in call]
    return index


def last(calls: list[str], pattern: str, path: Path) -> int:
    return max(index for index, call in enumerate(calls) if re.search(pattern, call) and f"<{path}>" in call)


@STRACE
def test_a_sync_precedes_the_return(tmp_path: Path) -> None:
    """Of ``store`` and ``take_in``, and of the making of the file, whose folder is synced too."""
    folder = tmp_path / "state"
    folder.mkdir()
    path, log = folder / "journal", folder / "journal-wal"
    calls, said = traced(tmp_path, path, ["store", "take in", "store"])
    assert said == ["opened", "done 1", "done 2", "done 3"]
    begun = 0
    for step, content in enumerate(("CREATE TABLE outbox", "<message 1>", "<message 2>", "<message 3>")):
        returned = saying(calls, said[step])
        here = calls[begun:returned]
        assert any(" pwrite64(" in call and content in call for call in here)
        assert last(here, r" pwrite64\(", log) < last(here, r" f(data)?sync\(.* = 0$", log)
        begun = returned
    opening = calls[: saying(calls, "opened")]
    assert last(opening, r" pwrite64\(", path) < last(opening, r" f(data)?sync\(.* = 0$", path)
    assert last(opening, " openat.*O_CREAT", log) < last(opening, r" f(data)?sync\(.* = 0$", folder)


@STRACE
@pytest.mark.parametrize("times", ["", "..12"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fdatasync:error=EIO:when=4", "disk I/O error"),
        ("pwrite64:error=ENOSPC:when=9", "database or disk is full"),
        ("pwrite64:error=EDQUOT:when=9", "disk I/O error"),
    ],
)
def test_what_the_disk_refuses_is_not_there_after_a_kill(tmp_path: Path, fault: str, said: str, times: str) -> None:
    """From the second step on the disk fails, to the end or for a while: what returned is there, and nothing else."""
    path = tmp_path / "journal"
    Journal(path).close()
    steps = ["store", "store", "take in", "store"] * (3 if times else 1)
    _, told = traced(tmp_path, path, steps, "-e", f"inject={fault}{times or '+'}")
    assert told[:2] == ["opened", "done 1"]
    assert told[2].startswith(f"JournalFull: {path}: no room; nothing was stored ({said})")
    assert len(told) == 1 + len(steps)
    done = [int(words.split()[1]) for words in told if words.startswith("done")]
    assert done[-1] == (len(steps) if times else 1)
    with Journal(path) as journal:
        kept = sorted(stored.payload for stored in [*journal.waiting("base", 4), *journal.left()])
    assert kept == sorted(b"<message %d>" % number for number in done)


# Killed --------------------------------------------------------------------------------------------------------------


class Pair:
    """A sender and a receiver, each with a journal and a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder / "socket")

    def start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        files = str(self.folder / f"{what}.journal"), self.address, str(self.folder / f"{what}.ledger")
        process = subprocess.Popen([*PROGRAM, what, *files, *arguments], stdout=subprocess.PIPE, cwd=ROOT)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def ledger(self, what: str) -> list[list[str]]:
        return [line.split() for line in (self.folder / f"{what}.ledger").read_text("utf-8").splitlines()]


def end(process: subprocess.Popen[bytes], kill: bool = True) -> int:
    if kill:
        process.kill()
    process.communicate()
    return process.returncode


def play(folder: Path, seed: int, kills: int) -> Pair:
    """Kill the sender, the receiver or both at random instants, ``kills`` times; then let them finish."""
    pair, rng = Pair(folder), random.Random(seed)
    receiver = pair.start("receive")
    for turn in range(kills):
        sender = pair.start("send", f"{seed}.{turn}", "100000")
        threading.Event().wait(rng.uniform(0.0, 0.1))
        who = rng.choice(("sender", "receiver", "both"))
        if who != "sender":
            end(receiver)
        end(sender, kill=who != "receiver")  # which ends by itself when nobody listens
        if who != "sender":
            receiver = pair.start("receive")
    assert end(pair.start("send", f"{seed}.end", "10"), kill=False) == 0
    end(receiver)
    end(pair.start("receive"))  # which delivers what is left, and says that it is ready
    return pair


def balance(pair: Pair, kills: int) -> None:
    """Each message for which store returned was delivered; again only if marked so; each lane in its order."""
    stored = {name: (int(seq), int(lane)) for seq, lane, name in pair.ledger("send")}
    delivered = [(int(seq), int(lane), name, again == "1") for seq, lane, name, again in pair.ledger("receive")]
    names = Counter(name for _, _, name, _ in delivered)
    assert set(stored) <= set(names)
    assert len(set(names) - set(stored)) <= 5 * kills  # stored, and killed before that was written down
    highest: dict[int, int] = {}
    seen = set()
    for seq, lane, name, again in delivered:
        assert stored.get(name, (seq, lane)) == (seq, lane)
        if name in seen:
            assert again, f"{name} was delivered twice, and not marked"
        else:
            assert seq > highest.get(lane, 0), f"{name} was overtaken"
            highest[lane] = seq
        seen.add(name)
    assert sum(names.values()) - len(names) <= kills + 1  # one may have been in its callback
    with Journal(pair.folder / "send.journal") as journal:
        assert journal.peers() == {}
    with Journal(pair.folder / "receive.journal") as journal:
        assert journal.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_instants_the_books_balance(tmp_path: Path, seed: int) -> None:
    balance(play(tmp_path, seed, 12), 12)


@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 4])
def test_killed_five_hundred_times_the_books_balance(tmp_path: Path, seed: int) -> None:
    balance(play(tmp_path, seed, 500), 500)
