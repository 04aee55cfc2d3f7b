"""A serial cable that is pulled and put back: the devices disappear and come again under the same names."""

from __future__ import annotations

import random
from pathlib import Path

from typing_extensions import Self

from tests.connections.cable import Cable


class Plug:
    """Two serial devices with a cable between them.

    :param folder: where the devices are to be, as ``ttyA`` and ``ttyB``.
    :param noise: share of the reads that come with a damaged byte.
    :ivar a:
    :ivar b: the paths of the devices.
    :ivar damaged: how many bytes were.
    """

    def __init__(self, folder: Path, *, noise: float = 0.0, seed: int = 7) -> None:
        self._links = (folder / "ttyA", folder / "ttyB")
        self.a, self.b = map(str, self._links)
        self.noise = noise
        self._dice = random.Random(seed)
        self._broken = False
        self.damaged = 0
        self._cable = self._laid()

    def _laid(self) -> Cable:
        cable = Cable(self._wear)
        for link, device in zip(self._links, (cable.a, cable.b)):
            link.symlink_to(device)
        return cable

    def _wear(self, data: bytes) -> bytes:
        if self._broken:
            return b""
        if self.noise and data and self._dice.random() < self.noise:
            self.damaged += 1
            at = self._dice.randrange(len(data))
            return data[:at] + bytes([data[at] ^ (1 << self._dice.randrange(8))]) + data[at + 1 :]
        return data

    def pull(self) -> None:
        """The cable is pulled: the devices are gone. Any number of times."""
        for link in self._links:
            link.unlink(missing_ok=True)
        self._cable.pull()

    def plug(self) -> None:
        """The cable is put back."""
        self._cable = self._laid()

    def say(self, data: bytes) -> None:
        """Something that both ends read and nobody sent."""
        self._cable.noise(data)

    def break_wires(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        self._broken = True

    def mend_wires(self) -> None:
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()
