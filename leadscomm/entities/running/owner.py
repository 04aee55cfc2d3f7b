"""On whose behalf connections are run."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Flusher
from leadscomm.entities.callback import Callback
from leadscomm.entities.records.handler import RecordHandler
from leadscomm.entities.running.flusher import FlusherThread
from leadscomm.entities.service import Service
from leadscomm.errors import ServiceError
from leadscomm.protocol.records.durable import STREAM


class Owner(Service):
    """A service on whose behalf connections are run; what they need of it.

    What is called a stage here is the :class:`~leadscomm.entities.running.reader.Stage` that runs a connection.
    The names have an underscore for the sake of users who subclass entities together with classes of their own.
    """

    callback: Callback
    _flusher: FlusherThread
    _handlers: Mapping[int, RecordHandler]
    _handshake_timeout: float = 5.0
    _why: Exception | None = None
    """Why it is not connected, or not running: the last reason."""

    @property
    @abstractmethod
    def _name(self) -> str:
        """What its threads are called."""

    @abstractmethod
    def _equip(self, outbox: Outbox, flusher: Flusher | None) -> None:
        """Set up the outbox of a connection; ``flusher`` instead of the common one, if given."""

    @abstractmethod
    def _report(self, error: Exception) -> None:
        """Tell ``on_fail`` from a thread of its own."""

    @abstractmethod
    def _announce(self, stage: Any) -> None:
        """A conversation begins: tell ``on_connect``."""

    @abstractmethod
    def _carries(self, stage: Any) -> None:
        """A line carries a session from now on."""

    @abstractmethod
    def _joined(self, stage: Any) -> None:
        """A connection was announced to the callbacks."""

    @abstractmethod
    def _left(self, stage: Any) -> None:
        """A connection has ended."""

    @abstractmethod
    def _call(self, callback: Callable[..., object], *args: Any, stage: Any = None) -> None:
        """Call one callback in this thread; what it raises reaches ``on_fail``."""

    @abstractmethod
    def _take_on(self, connection: ConnectionBase) -> None:
        """Run a connection that another has become, in a thread of its own or when the present one is free."""

    def _heirs(self) -> Callable[[ConnectionBase], None] | None:
        """What runs a conversation that follows another on its line, where the peer has begun anew; None: nothing, and
        the line is closed."""
        return None

    @abstractmethod
    def _returned(self, returned: object, stage: Any) -> None:
        """A callback returned something."""

    @abstractmethod
    def _raised(self, error: BaseException, stage: Any) -> None:
        """A callback raised."""

    @abstractmethod
    def _fail(self, error: Exception, stage: Any = None) -> None:
        """Tell ``on_fail`` in this thread."""

    @abstractmethod
    def _could_not_connect(self, error: Exception) -> None:
        """An attempt to connect came to nothing: tell ``on_fail`` in this thread, and whoever sends."""


class Former:
    """Stands for the stage of a conversation that is over.

    :param entity: ran it; it is not kept in memory.
    """

    __slots__ = ("_entity",)

    def __init__(self, entity: Owner) -> None:
        self._entity = weakref.ref(entity)

    @property
    def streams(self) -> Any:
        """A peer that has a name is known again by it in a later session."""
        entity = self._entity()
        if entity is None:
            raise ServiceError("the service that ran this connection is gone: a stream needs one")
        return entity._handlers[STREAM]

    def closing(self) -> None:
        """It is over."""

    def parted(self) -> Former:
        return self
