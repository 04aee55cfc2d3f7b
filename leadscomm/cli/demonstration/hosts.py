"""The demo's second part: three hosts and three devices, and somebody who pulls the cables between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

from leadscomm.cli.demonstration.device_link import Device
from leadscomm.cli.demonstration.pulling import DEAD_AFTER_S
from leadscomm.cli.terminal.wording import counted, one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.entities.callback import Callback
from leadscomm.entities.node import Node, name_of
from leadscomm.entities.service import Service
from leadscomm.errors import CommError, ConnectFailed, ConnectionLost, OutboxFull

HOSTS: Final = ("base", "desk", "log")
_BURST: Final = 20
_LAST_ANSWERS_S: Final = 10.0
_LOOK_S: Final = 0.01


class Host(Callback):
    """A node that sends numbered messages to every device, and counts the answers.

    :param tell: told of lines that come and go.
    """

    def __init__(self, name: str, devices: Sequence[Device], tell: Callable[[str, str], None]) -> None:
        super().__init__()
        self._devices = {device.name: device for device in devices if device.places(name)}
        self._numbers = dict.fromkeys(self._devices, 0)
        self._tell = tell
        places = [place for device in devices for place in device.places(name)]
        self.node = Node(name, connect=places, callback=self, dead_after=DEAD_AFTER_S)

    def send_some(self) -> None:
        """Send every device what it takes at the moment."""
        for device in self._devices.values():
            number = self._numbers[device.name]
            for _ in range(min(_BURST, device.most - (device.sent - device.delivered))):
                try:
                    self.node.send(device.message(number), to=device.name)
                except (OutboxFull, ConnectionLost):
                    break
                number += 1
                device.sent += 1
            self._numbers[device.name] = number

    def links(self, device: str) -> list[Any]:
        """The lines that lead to a device."""
        try:
            connection = self.node.peer(device)
        except ConnectionLost:
            return []
        return list(getattr(connection, "lines", (connection,)))

    # What the node tells ---------------------------------------------------------------------------------------------

    def on_receive(self, service: Service, msg: bytes) -> None:
        sender = self.node.sender
        if sender is not None:
            self._devices[name_of(sender)].answered(self.node.name, msg)

    def on_link(self, service: Service, connection: ConnectionBase, link: str, up: bool) -> None:
        device = self._devices[name_of(connection)]
        if not device.over:
            lines = counted(len(self.links(device.name)), "line")
            state = f"{device.kind(link)} is {'up' if up else 'down'}, {lines} up"
            self._tell(device.name, f"{self.node.name}: {state}")

    def on_fail(self, service: Service, error: Exception) -> None:
        if not isinstance(error, ConnectFailed):  # of a pulled cable nothing else is to be expected
            self._tell(self.node.name, one_line(error))


class Pulling:
    """Pulls and kills what leads to the devices, one step after the other.

    :param tell: told what was done.
    """

    def __init__(self, hosts: Sequence[Host], devices: Sequence[Device], tell: Callable[[str, str], None]) -> None:
        self._hosts, self._tell = hosts, tell
        self._steps: list[Callable[[], None]] = []
        for device in (device for device in devices if device.cables):
            for kind in device.cables:
                self._steps.append(lambda device=device, kind=kind: self._pull(device, kind))  # type: ignore[misc]
            self._steps.append(lambda device=device: self._kill(device))  # type: ignore[misc]
            self._steps.append(lambda device=device: self._plug(device))  # type: ignore[misc]
        self._at = 0

    def step(self) -> None:
        """Do the next thing."""
        if self._steps:
            self._steps[self._at % len(self._steps)]()
            self._at += 1

    def end(self, devices: Sequence[Device]) -> None:
        """All is plugged in again."""
        for device in devices:
            for cable in device.cables.values():
                cable.set_pulled(False)

    def _pull(self, device: Device, kind: str) -> None:
        device.cables[kind].set_pulled(True)
        device.cuts += 1
        self._tell(device.name, f"its {kind} cable is PULLED")

    def _kill(self, device: Device) -> None:
        """All connections at once, those by radio, too."""
        for host in self._hosts:
            for line in host.links(device.name):
                line.connection.abort()
                device.cuts += 1
        self._tell(device.name, "all its connections are KILLED")

    def _plug(self, device: Device) -> None:
        for cable in device.cables.values():
            cable.set_pulled(False)
        self._tell(device.name, "its cables are plugged in again")


class Company:
    """Hosts and devices. To be used by ``with``; what cannot be shown is found in :attr:`Device.missing`.

    :param tell: told of what happens: a name, and a line of text.
    """

    def __init__(self, devices: Sequence[Device], tell: Callable[[str, str], None]) -> None:
        self.devices = devices
        self.hosts: list[Host] = []
        self._tell = tell
        self._stack = ExitStack()
        self._pulling: Pulling | None = None

    def start(self) -> None:
        """Start the devices, then the hosts, and wait until they know each other."""
        for device in self.devices:
            self._stack.callback(device.close)
            self._try(device, device.start)
        for device in self.devices:
            self._try(device, getattr(device, "begun", _nothing))
        shown = [device for device in self.devices if not device.missing]
        for name in HOSTS:
            host = Host(name, shown, self._tell)
            self.hosts.append(host)
            self._stack.callback(host.node.close, 2.0)
            host.node.start(parallel=True)
        self._pulling = Pulling(self.hosts, shown, self._tell)

    def _try(self, device: Device, call: Callable[[], None]) -> None:
        try:
            if not device.missing:
                call()
        except (CommError, OSError) as error:
            device.missing = f"not shown: {one_line(error)}"

    def all_met(self) -> bool:
        """Whether every host is in a session with each of its devices."""
        return all(set(host.node.peers()) >= host._devices.keys() for host in self.hosts)

    def send(self) -> None:
        """Have everybody send."""
        for host in self.hosts:
            host.send_some()

    def cut(self) -> None:
        """Pull or kill something, or plug it in again."""
        assert self._pulling is not None
        self._pulling.step()

    def finish(self) -> None:
        """Plug everything in, and wait for the last answers."""
        assert self._pulling is not None
        self._pulling.end(self.devices)
        deadline = time.monotonic() + _LAST_ANSWERS_S
        while any(device.lost() for device in self.devices) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End it all."""
        self._stack.close()


def _nothing() -> None: ...
