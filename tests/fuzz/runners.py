"""Runs of many inputs: random ones in this process, or guided by coverage in a child that has atheris."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .targets import Target

ROOT = Path(__file__).resolve().parents[2]
FAILED = Path(__file__).with_name("failed")
"""Where inputs are kept that showed something wrong, each in a file of its own, in hexadecimal."""
MOST_FAILURES = 10
WARM_UP_INPUTS = 2000
"""Caches are full then: what memory grows by later counts."""
NO_LIMIT = 1 << 62


@dataclass
class Done:
    """What came of a target.

    :ivar bytes: of all inputs; each of them is fed several times, cut in several ways.
    :ivar growth: bytes by which the memory of the process has grown.
    :ivar failures: inputs that showed something wrong.
    """

    target: str
    inputs: int = 0
    bytes: int = 0
    seconds: float = 0.0
    growth: int = 0
    failures: int = 0


class Runner(ABC):
    """A target, and what came of it so far."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.done = Done(target.name)

    @abstractmethod
    def turn(self, inputs: int, seconds: float) -> None:
        """Go on until there were so many inputs more, or so many seconds have passed."""

    def new_inputs(self) -> list[bytes]:
        """Inputs that reached what none had reached before."""
        return []

    def close(self) -> None:
        return

    def fail(self, data: bytes, why: str) -> None:
        self.done.failures += 1
        FAILED.mkdir(exist_ok=True)
        kept = FAILED / f"{self.target}-{zlib.crc32(data):08x}.hex"
        kept.write_text(data.hex() + "\n")
        print(f"{self.target}: {why}\n  try it again by: ./dev fuzz {self.target} --replay {kept}", flush=True)

    @property
    def hopeless(self) -> bool:
        """Whether nothing new is to be expected before something is mended."""
        return self.done.failures >= MOST_FAILURES


class RandomRunner(Runner):
    """Random inputs, the same ones for the same seed."""

    def __init__(self, target: Target, seed: int) -> None:
        super().__init__(target)
        self._inputs = target.inputs(seed)
        self._at_first = 0

    def turn(self, inputs: int, seconds: float) -> None:
        begin, before, target, done = time.perf_counter(), memory(), self.target, self.done
        last, until = done.inputs + inputs, begin + seconds
        while done.inputs < last and time.perf_counter() < until and not self.hopeless:
            data = next(self._inputs)
            done.inputs += 1
            done.bytes += len(data)
            try:
                target.run(data)
            except Exception as error:
                self.fail(data, "".join(traceback.format_exception_only(error)).strip()[:200])
            if done.inputs == WARM_UP_INPUTS:
                before = memory()
        if done.inputs > WARM_UP_INPUTS:
            done.growth += memory() - before
        done.seconds += time.perf_counter() - begin


class GuidedRunner(Runner):
    """Inputs that coverage guides: libFuzzer looks which lines of leadscomm each of them reaches."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._folder = tempfile.TemporaryDirectory(prefix="leadscomm-fuzz-")
        self._corpus = Path(self._folder.name) / "corpus"
        self._corpus.mkdir()
        for number, data in enumerate(target.known()):
            (self._corpus / f"known-{number}").write_bytes(data)

    def turn(self, inputs: int, seconds: float) -> None:
        if self.hopeless:
            return
        found = Path(self._folder.name) / "found"
        found.mkdir(exist_ok=True)
        longest = max(self.target.longest, *map(len, self.target.known()), 1)
        options = [f"-max_len={longest}", f"-artifact_prefix={found}{os.sep}", "-print_final_stats=1", "-timeout=60"]
        options += ["-len_control=0"]  # a list of choices is worth while from the beginning
        options += [f"-max_total_time={max(1, round(seconds))}"] if seconds < NO_LIMIT else []
        options += [f"-runs={inputs}"] if inputs < NO_LIMIT else []
        child = [sys.executable, "-m", "tests.fuzz.guided", self.target.name, *options, str(self._corpus)]
        begin = time.perf_counter()
        with subprocess.Popen(child, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            self._read(process.stderr)
        self.done.seconds += time.perf_counter() - begin
        failures = sorted(found.iterdir())
        for file in failures:
            self.fail(file.read_bytes(), f"an input of the guided run ({file.name.partition('-')[0]})")
            file.unlink()
        if process.returncode and not failures:
            raise RuntimeError(f"the guided run of {self.target} ended with {process.returncode}")

    def _read(self, lines: Iterator[str]) -> None:
        """Take from what libFuzzer says how many inputs it has tried, and its memory after the known ones and now."""
        at_first = mib = 0
        for line in lines:
            status = re.match(r"#(\d+)\s+(\w+).* rss: (\d+)Mb", line)
            if status:
                mib = int(status[3])
                at_first = mib if status[2] == "INITED" else at_first
            final = re.match(r"stat::number_of_executed_units:\s*(\d+)", line)
            self.done.inputs += int(final[1]) if final else 0
        self.done.growth = max(self.done.growth, (mib - at_first) << 20)

    def new_inputs(self) -> list[bytes]:
        return [file.read_bytes() for file in self._corpus.iterdir() if not file.name.startswith("known-")]

    def close(self) -> None:
        self._folder.cleanup()


def can_guide() -> bool:
    return importlib.util.find_spec("atheris") is not None


def memory() -> int:
    """Bytes of memory that this process has; 0 where the system does not tell."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0
