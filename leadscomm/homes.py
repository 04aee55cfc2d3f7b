"""Where the names of the package come from; each home is imported when something of it is first wanted."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, Final

MODULES: Final = ("connections", "entities", "errors", "log", "protocol")
"""What ``import leadscomm`` alone has always made reachable, as ``leadscomm.errors.CommError``."""


def fetch(name: str) -> Any:
    """What has one of the names in ``leadscomm.__all__``, or one of the modules."""
    if name in MODULES:
        return import_module(f"leadscomm.{name}")
    if name == "Connection":  # what LEADS calls it
        name = "TcpConnection"
    return next(getattr(home, name) for home in _homes() if hasattr(home, name))


def _homes() -> Iterator[ModuleType]:
    """All of them, those that need little first. By statements: tools that freeze programs follow those."""
    from leadscomm import errors, log

    yield from (errors, log)
    from leadscomm.protocol import framing

    yield framing
    from leadscomm.connections import base, endpoint, listener

    yield from (base, endpoint, listener)
    from leadscomm.connections.sockets import tcp

    yield tcp
    from leadscomm.entities import callback, entity, service

    yield from (callback, service, entity)
    from leadscomm.sessions import doors

    yield doors
    from leadscomm import api

    yield api
    from leadscomm.streams import receiving, transfer

    yield from (transfer, receiving)
    from leadscomm.connections.serial import connection, identity

    yield from (identity, connection)
    from leadscomm.entities import node

    yield node
