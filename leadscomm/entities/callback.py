"""Callbacks: where everything but sending happens."""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from leadscomm.errors import CallbackError

if TYPE_CHECKING:
    from leadscomm.connections.base import ConnectionBase
    from leadscomm.entities.service import Service
    from leadscomm.streams.receiving import Stream


class CallbackChain:
    """A link in a chain of callbacks: the newest is called, and calls the one before it if it wishes.

    Two ways lead to the one before. ``self.super(service=service, msg=msg)`` is LEADS's: it finds out by itself which
    method it was called from. ``self.chained.on_receive(service, msg)`` says it, and so works from anywhere.

    :param chain: the link before this one.
    """

    _chain: CallbackChain | None = None  # here too, for subclasses whose __init__ does not call this one

    def __init__(self, chain: CallbackChain | None = None) -> None:
        self.bind_chain(chain)

    def bind_chain(self, chain: CallbackChain | None) -> None:
        """Set the link before this one. If this one is already further down that chain, it is taken out there first.

        :raises CallbackError: it is no such link, or would be called for nothing.
        """
        if chain is self:
            return
        if chain is not None:
            _check_link(chain)
        for link in _links(chain):
            if link._chain is self:
                link._chain = self._chain
                break
        self._chain = chain

    @property
    def chained(self) -> Any:
        """The link before this one, or one whose every method does nothing."""
        return _END if self._chain is None else self._chain

    def super(self, *args: Any, **kwargs: Any) -> None:
        """Call the method of the same name of the link before this one, if there is one.

        The name is that of the method this is called from, directly or through a helper or a lambda; a helper that the
        link before has too is taken for the method.

        :raises AttributeError: it was not called from a method that the link before this one has.
        """
        chain = self._chain
        if chain is None:
            return
        frame = sys._getframe(1)
        caller = frame.f_code.co_name
        while frame is not None:
            name = frame.f_code.co_name
            if name != "super" and callable(getattr(chain, name, None)) and _knows(frame, self):
                getattr(chain, name)(*args, **kwargs)
                return
            frame = frame.f_back  # type: ignore[assignment]
        raise AttributeError(
            f"{type(chain).__name__} has no method {caller!r} to call; write self.chained.on_receive(...), say"
        )


def _knows(frame: FrameType, link: CallbackChain) -> bool:
    return any(value is link for value in frame.f_locals.values())  # "in" would compare, and arrays refuse that


def _links(chain: CallbackChain | None) -> Iterator[CallbackChain]:
    while chain is not None:
        yield chain
        chain = chain._chain


class _End:
    """The end of every chain."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


_END = _End()


class Callback(CallbackChain):
    """What a service tells. Subclass it and write what is needed.

    For each connection ``on_connect``, ``on_receive`` any number of times, and ``on_disconnect`` once follow each
    other, never two at a time. Different connections may call at the same time from different threads. ``send``,
    ``broadcast``, ``close`` and everything else is allowed inside; an exception reaches ``on_fail`` and nobody else.
    A callback that blocks holds up its own connection only.
    """

    def on_initialize(self, service: Service) -> None:
        """The server listens, or the client is about to connect. Once a start, in the thread that runs the service."""

    def on_fail(self, service: Service, error: Exception) -> None:
        """Something went wrong in the background, or a callback raised. The service goes on where it can."""

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        """A conversation begins."""

    def on_receive(self, service: Service, msg: bytes) -> None:
        """A message came; ``service.sender`` is the connection that it came from."""

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        """A conversation is over."""

    def on_reconnect(self, service: Service, connection: ConnectionBase) -> None:
        """A client is connected again; follows the ``on_connect`` of the new connection."""

    def on_stream(self, service: Service, connection: ConnectionBase, stream: Stream) -> None:
        """The peer of a session offers a stream. ``stream.save(path)``, ``stream.save_into(folder)`` or
        ``stream.accept(file)`` in here takes it; otherwise it is refused."""

    def on_stream_end(self, service: Service, connection: ConnectionBase, stream: Stream) -> None:
        """A stream that was taken is over: ``stream.error`` is None if all of it is there, and says otherwise why not.
        When the session has ended it may come behind ``on_disconnect``."""

    def on_link(self, service: Service, connection: ConnectionBase, link: str, up: bool) -> None:
        """A line of a session (``reliable=1``) came or went; between its ``on_connect`` and ``on_disconnect``.

        :param link: what it is, such as ``tcp://192.168.1.7:16900`` or ``/dev/ttyUSB0``.
        """


_log = logging.getLogger("leadscomm")
MEND: Final = "write a plain def, which may hand work to your loop with asyncio.run_coroutine_threadsafe(work, loop)"
METHODS: Final = tuple(name for name in vars(Callback) if name.startswith("on_"))


def checked(callback: Any) -> Any:
    """A callback, if it can be one; with all that it is chained to.

    :raises CallbackError: it cannot; the text says what to write instead.
    """
    if isinstance(callback, type):
        raise CallbackError(f"{callback.__name__} is a class, and an instance is wanted: write {callback.__name__}()")
    missing = [name for name in METHODS if not callable(getattr(callback, name, None))]
    if missing:
        given = getattr(callback, "__name__", None) or type(callback).__name__
        raise CallbackError(
            f"{given} is no callback, it has no {missing[0]}: write a class Echo(Callback) with on_receive(self, "
            "service, msg), and give Echo()"
        )
    for link in _links(callback) if isinstance(callback, CallbackChain) else (callback,):
        _check_methods(link)
    return callback


def _check_link(link: Any) -> None:
    """:raises CallbackError: it is no link of a chain."""
    if isinstance(link, type):
        raise CallbackError(f"{link.__name__} is a class, and an instance is wanted: write {link.__name__}()")
    if not isinstance(link, CallbackChain):
        raise CallbackError(f"{link!r} is no link of a chain: derive its class from Callback")
    _check_methods(link)


def _check_methods(link: Any) -> None:
    for name in METHODS:
        why = _for_nothing(getattr(link, name, None)) or _does_not_take(getattr(link, name, None), name)
        if why:
            raise CallbackError(f"{type(link).__name__}.{name} {why}")
    for name in dir(type(link)):
        near = difflib.get_close_matches(name, METHODS, 1, 0.85) if name.startswith("on_") else []
        if near and name not in METHODS:
            _log.warning("nobody calls %s.%s; did you mean %s?", type(link).__name__, name, near[0])


def _does_not_take(method: Any, name: str) -> str:
    """Why a method cannot be called with what it is told; empty: it can, as far as that is known."""
    try:
        takes = inspect.signature(method)
    except (TypeError, ValueError):  # a link of a chain need not have it; or it is not written in Python
        return ""
    told = list(inspect.signature(getattr(Callback, name)).parameters)
    try:
        takes.bind(*told[1:])
    except TypeError:
        return f"does not take what it is told: write def {name}({', '.join(told)})"
    return ""


def _for_nothing(method: Any) -> str:
    """Why nothing would happen if this were called and what it returns left alone; empty: something would."""
    while isinstance(method, partial):
        method = method.func
    if not inspect.isroutine(method):
        method = getattr(method, "__call__", method)  # noqa: B004 - the method is wanted, to be looked at
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return f"is async, and nobody awaits it: {MEND}"
    if inspect.isgeneratorfunction(method):
        return "has a yield, so that calling it does nothing: write it without"
    return ""


def unawaited(returned: Any) -> CallbackError | None:
    """What to tell of something that a callback returned and that nobody awaits; None: it is nothing of the kind."""
    if not inspect.isawaitable(returned):
        return None
    what = type(returned).__name__
    if inspect.iscoroutine(returned):
        what = f"the coroutine {returned.__qualname__}"
        returned.close()  # otherwise Python warns of it, somewhere
    return CallbackError(f"a callback returned {what}, and nobody awaits it, so that nothing was done: {MEND}")
