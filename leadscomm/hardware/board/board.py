"""A board: an Arduino that is found by its name, with its pins, its messages, and whatever happens to its line."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.callback import Callback, CallbackChain
from leadscomm.entities.client import Client
from leadscomm.entities.service import Service
from leadscomm.errors import ConnectionLost, EndpointError, RemoteProtocolError
from leadscomm.hardware import companion
from leadscomm.hardware.board.layout import Layout
from leadscomm.hardware.board.orders import AnAnswer, Making, Orders
from leadscomm.hardware.board.pins import Analog, Pin
from leadscomm.hardware.board.reports import Reports, Sample, Subscription
from leadscomm.protocol.session.counters import LinkCounters
from leadscomm.sessions.timers import TimedConnection

ALayout = TypeVar("ALayout", bound=Layout)
ANSWER_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True)
class BoardInfo:
    """What a board says of itself.

    :ivar version: of the companion's orders: two numbers.
    :ivar uptime: seconds since it started; begins anew after 49.7 days.
    :ivar free_ram: bytes between its variables and its stack.
    :ivar pins: how many digital pins it has.
    :ivar channels: how many analog inputs it has.
    :ivar chip: its name, ``atmega328p``.
    """

    version: tuple[int, int]
    uptime: float
    free_ram: int
    pins: int
    channels: int
    chip: str


@dataclass(frozen=True)
class BoardCounters:
    """What both ends of the line have seen: ``host`` since the present connection began, the others, on the board,
    since it started, modulo 65,536.

    :ivar host: this end.
    :ivar bad_frames: frames that came damaged.
    :ivar overruns: times that the receive ring was found full.
    :ivar resent: frames sent again.
    :ivar lost: messages not acknowledged when their session ended.
    :ivar unreported: reports left out since the line was busy.
    """

    host: LinkCounters
    bad_frames: int
    overruns: int
    resent: int
    lost: int
    unreported: int


class Board(Client):
    """A client of one board, with reliable delivery; found again after a reset, and on another port.

    Pins, reports, :meth:`echo`, :meth:`info` and :meth:`counters` want the companion firmware. :meth:`send`,
    :meth:`on` and :meth:`ask` serve sketches of one's own too. Methods that wait for an answer raise ``ServiceError``
    inside a callback of this board; those that set something do not wait there.

    :param port: an endpoint; ``serial://auto`` if only ``identity`` is given.
    :param callback: what is told. ``on_receive`` gets what is no answer, no report, and for no callback of :meth:`on`.
    :param identity: the tag that the board answers to, in any case, or its beginning.
    :param restore: give the board its reports and pin modes again when it is connected again. Levels, PWM and servos
        are not given again: what moves should not begin to move because a plug was put in.
    :param timeout: seconds that an answer is waited for.
    :param reference: volts at which an analog input says 1023.
    :param options: further options of the endpoint, by the names that they have in its URL.
    :raises EndpointError: neither an endpoint nor an identity was given, or an option is wrong.
    """

    def __init__(
        self,
        port: str | Endpoint | None = None,
        callback: Callback | None = None,
        *,
        identity: str | None = None,
        restore: bool = True,
        timeout: float = ANSWER_TIMEOUT_S,
        reference: float = 5.0,
        **options: Any,
    ) -> None:
        if port is None:
            if identity is None:
                raise EndpointError("a board wants an endpoint, or identity=TAG to be looked for")
            port = "serial://auto"
        ear = _Ear(self, Callback() if callback is None else callback)
        super().__init__(port, ear, identity=identity, reliable=True, **options)
        self._reference = reference
        self._restore = restore
        self._orders = Orders(self, timeout)
        self._telemetry = Reports(self._orders, reference)
        self._layouts: dict[int, tuple[type[Layout], Callable[[Any], None]]] = {}

    # Pins ------------------------------------------------------------------------------------------------------------

    def pin(self, number: int) -> Pin:
        """A digital pin, as Arduino counts."""
        return Pin(self._orders, number)

    def analog(self, number: int) -> Analog:
        """An analog input: 0 for A0."""
        return Analog(self._orders, number, self._reference)

    def report(
        self,
        callback: Callable[[Sample], None],
        *,
        analog: Iterable[int] = (),
        digital: Iterable[int] = (),
        rate: float = 10.0,
    ) -> Subscription:
        """Have pins reported again and again. Reports may be lost on the way; they are not repeated, but followed.

        :param callback: gets each :class:`Sample`, in the thread that reads.
        :param analog: analog inputs.
        :param digital: digital pins.
        :param rate: reports a second, 0.016 to 1000; the time between them is rounded to whole milliseconds.
        :return: what ends it.
        :raises ValueError: there is no such pin or rate.
        :raises ServiceError: four reports are under way, which is what a companion keeps. Others as of :meth:`order`.
        """
        return self._telemetry.begin(callback, analog, digital, rate)

    # The board itself ------------------------------------------------------------------------------------------------

    def echo(self, data: bytes) -> float:
        """Have 48 bytes at most said again; the seconds that it took. Waits.

        :raises RemoteProtocolError: something else came back.
        """
        began = time.monotonic()
        said = self.ask(lambda request: companion.Echo(request, data), companion.EchoAnswer).data
        if said != data:
            raise RemoteProtocolError(f"the board was to say {data!r} again, and said {said!r}")
        return time.monotonic() - began

    def info(self) -> BoardInfo:
        """What it says of itself. Waits."""
        said = self.ask(companion.Info, companion.InfoAnswer)
        version = (said.major, said.minor)
        return BoardInfo(version, said.uptime / 1000, said.free, said.pins, said.channels, said.chip)

    def counters(self) -> BoardCounters:
        """What both ends of the line have seen. Waits."""
        said = self.ask(companion.Counters, companion.CountersAnswer)
        host = self._line().counters()
        return BoardCounters(host, said.bad_frames, said.overruns, said.resent, said.lost, said.unreported)

    def rename(self, tag: str) -> None:
        """Have it answer to another tag from now on, also after a reset: 1 to 24 ASCII characters without blanks,
        ``:`` and ``;``."""
        self.order(lambda request: companion.SetTag(request, tag))

    # Messages --------------------------------------------------------------------------------------------------------

    def send(
        self,
        msg: bytes | Layout,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """As :meth:`Client.send`; a message of a declared layout is packed first."""
        super().send(_packed(msg), lane=lane, lifetime=lifetime, latest=latest, timeout=timeout)

    def send_datagram(self, msg: bytes | Layout) -> None:
        """Send a message that may be lost, and neither waits for others nor is acknowledged.

        :raises ConnectionLost: there is no connection at the moment.
        :raises LocalProtocolError: it is longer than one frame of the board.
        """
        self._line().send_datagram(_packed(msg))

    def on(self, layout: type[ALayout], callback: Callable[[ALayout], None] | None) -> None:
        """Have messages that begin with the number of ``layout`` given to ``callback``, unpacked, in the thread that
        reads; None: no more. A message that does not fit reaches ``on_fail`` as ``RemoteProtocolError``.

        :raises ValueError: the layout has no number.
        """
        if layout.number is None:
            raise ValueError(f"{layout.__name__} has no number to tell its messages by: class ...(Layout, number=1)")
        if callback is None:
            self._layouts.pop(layout.number, None)
        else:
            self._layouts[layout.number] = layout, callback

    def order(self, make: Making, keep: Hashable = None) -> None:
        """See :meth:`Orders.order`."""
        self._orders.order(make, keep)

    def ask(self, make: Making, answer: type[AnAnswer], timeout: float | None = None) -> AnAnswer:
        """See :meth:`Orders.ask`."""
        return self._orders.ask(make, answer, timeout)

    # Inside ----------------------------------------------------------------------------------------------------------

    def set_callback(self, callback: Callback) -> None:
        ear = self.callback
        if callback is not ear and callback is not ear.chained:
            callback.bind_chain(ear.chained)
            ear.bind_chain(callback)

    def _line(self) -> TimedConnection:
        connection = self.connection
        if not isinstance(connection, TimedConnection):
            raise ConnectionLost(f"{self.endpoint} is not connected at the moment")
        return connection

    def _hear(self, message: bytes) -> bool:
        """Deal with a message; whether it was one for us."""
        if self._orders.answered(message) or self._telemetry.heard(message):
            return True
        layout, callback = self._layouts.get(message[0], _NOBODY) if message else _NOBODY
        if layout is None:
            return False
        callback(layout.unpack(message))
        return True

    def _begun(self) -> None:
        """It is connected, perhaps again."""
        self._telemetry.restart()
        if self._restore:
            self._orders.again()

    def _ended(self) -> None:
        """It is connected no more."""
        self._orders.lost(f"{self.endpoint} was disconnected")


_NOBODY: Final = (None, lambda message: None)


def _packed(msg: bytes | Layout) -> bytes:
    return msg.pack() if isinstance(msg, Layout) else msg


class _Ear(Callback):
    """The newest link of a board's chain: takes what is meant for the board, and hands everything else on."""

    def __init__(self, board: Board, chain: Callback) -> None:
        super().__init__(chain)
        self._board = board

    def bind_chain(self, chain: CallbackChain | None) -> None:
        super().bind_chain(chain)
        self.on_fail = self.chained.on_fail  # type: ignore[method-assign]  # Entity looks whether anybody wrote one

    def on_initialize(self, service: Service) -> None:
        self.chained.on_initialize(service)

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        try:
            self._board._begun()
        finally:
            self.chained.on_connect(service, connection)

    def on_receive(self, service: Service, msg: bytes) -> None:
        if not self._board._hear(msg):
            self.chained.on_receive(service, msg)

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self._board._ended()
        self.chained.on_disconnect(service, connection)

    def on_reconnect(self, service: Service, connection: ConnectionBase) -> None:
        self.chained.on_reconnect(service, connection)
