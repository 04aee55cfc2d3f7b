"""Orders to a board, and their answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent import futures
from typing import Final, TypeVar

from leadscomm.connections.sending.writer import here
from leadscomm.entities.client import Client
from leadscomm.errors import BoardError, CommTimeout, DeliveryError, OutboxFull, ServiceError
from leadscomm.hardware.companion import Answer, Order, Status

_NUMBERS: Final = 256
Making = Callable[[int], Order]
"""Makes an order of its request number."""
AnAnswer = TypeVar("AnAnswer", bound=Answer)


class _UnderWay(futures.Future[bytes]):
    """An order that was sent, and will have an answer."""

    def __init__(self, number: int, order: Order) -> None:
        super().__init__()
        self.number = number
        self.name = type(order).__name__
        self.message = order.pack()


class Orders:
    """Sends orders, and finds the order that an answer belongs to. Any thread.

    An order whose caller waits no longer keeps its number until its answer comes or the connection ends, so that no
    late answer is taken for another's.

    :param client: over which they are sent.
    :param timeout: how many seconds an answer is waited for.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._lock = threading.Lock()
        self._under_way: dict[int, _UnderWay] = {}
        self._kept: dict[Hashable, Making] = {}
        self._next = 0

    def order(self, make: Making, keep: Hashable = None) -> None:
        """Have an order carried out. Inside a callback it does not wait for the answer, and ``on_fail`` is told if the
        board refuses.

        :param make: makes the order of its request number.
        :param keep: the order is given again after a reset of the board, unless another with the same ``keep`` was
            given since.
        :raises BoardError: the board refused it.
        :raises ConnectionLost: there is no connection.
        :raises DeliveryError: the connection ended before the answer: nobody knows whether it was carried out.
        :raises CommTimeout: no answer came in time.
        """
        under_way = self._send(make)
        if keep is not None:
            with self._lock:
                self._kept[keep] = make
        if self._inside():
            under_way.add_done_callback(self._report)
            return
        try:
            self._check(under_way, self._timeout)
        except BoardError:
            self.forget(keep)
            raise

    def ask(self, make: Making, answer: type[AnAnswer], timeout: float | None = None) -> AnAnswer:
        """Ask, and wait for the answer.

        :param make: makes the order of its request number.
        :param answer: its layout.
        :param timeout: seconds, instead of the usual ones.
        :raises ServiceError: inside a callback of this board, where the answer could never come.
        :raises BoardError: the board refused to answer. Others as of :meth:`order`.
        """
        if self._inside():
            raise ServiceError(
                f"the answer would be read by this thread, which is inside a callback of {self._client.endpoint}: "
                "ask from another thread, or have the value reported"
            )
        return answer.unpack(self._check(self._send(make), self._timeout if timeout is None else timeout))

    def forget(self, keep: Hashable) -> None:
        """Do not give this order again after a reset."""
        with self._lock:
            self._kept.pop(keep, None)

    def _inside(self) -> bool:
        """Whether this thread is the one that reads, in a callback."""
        return self._client.sender is not None or here.inside is self._client

    def _send(self, make: Making) -> _UnderWay:
        with self._lock:
            if len(self._under_way) == _NUMBERS:
                raise OutboxFull(f"{_NUMBERS} orders wait for answers of {self._client.endpoint}")
            while self._next in self._under_way:
                self._next = (self._next + 1) % _NUMBERS
            under_way = self._under_way[self._next] = _UnderWay(self._next, make(self._next))
            self._next = (self._next + 1) % _NUMBERS
        try:
            self._client.send(under_way.message)
        except BaseException:
            with self._lock:
                self._under_way.pop(under_way.number, None)
            raise
        return under_way

    def _check(self, under_way: _UnderWay, timeout: float) -> bytes:
        """The answer, which says that the order was carried out."""
        try:
            message = under_way.result(timeout)
        except futures.TimeoutError:
            raise CommTimeout(
                f"{self._client.endpoint} did not answer {under_way.name} in {timeout:g} s; does the board run the "
                "companion firmware, or a sketch that knows its orders?"
            ) from None
        status = message[2]
        if status:
            why = Status(status).text if status in list(Status) else "the firmware does not say why"
            raise BoardError(f"the board refused {under_way.name} with status {status}: {why}", status)
        return message

    def _report(self, under_way: futures.Future[bytes]) -> None:
        """An order that nobody waits for has ended."""
        assert isinstance(under_way, _UnderWay)
        try:
            self._check(under_way, 0.0)
        except Exception as error:
            self._client._fail(error)

    # In the thread that reads ----------------------------------------------------------------------------------------

    def answered(self, message: bytes) -> bool:
        """Hand on what came; whether it was an answer to one of these orders."""
        if len(message) < Answer.longest or message[0] != Answer.number:
            return False
        with self._lock:
            under_way = self._under_way.pop(message[1], None)
        if under_way is None:
            return False
        under_way.set_result(message)
        return True

    def lost(self, why: str) -> None:
        """The connection has ended: nobody knows whether the orders under way were carried out."""
        with self._lock:
            left = list(self._under_way.values())
            self._under_way.clear()
        for under_way in left:
            error = DeliveryError(f"{why} before it answered {under_way.name}", [under_way.message], sent=1)
            under_way.set_exception(error)

    def again(self) -> None:
        """The board is there again: give it the orders that are kept."""
        with self._lock:
            kept = list(self._kept.values())
        for make in kept:
            self._send(make).add_done_callback(self._report)
