"""leadscomm: callback-driven connections between hosts and devices.

>>> from leadscomm import Callback, create_server, start_server

A name is imported when it is first wanted, with what it needs and no more.
"""

from typing import TYPE_CHECKING, Any

from leadscomm.version import __version__

if TYPE_CHECKING:
    from leadscomm.api import create_client, create_server, start_client, start_server
    from leadscomm.connections.base import ConnectionBase
    from leadscomm.connections.endpoint import Endpoint, Scheme, register_scheme
    from leadscomm.connections.listener import ListenerBase
    from leadscomm.connections.serial.connection import SerialConnection
    from leadscomm.connections.serial.identity import AutoIdentity
    from leadscomm.connections.sockets.tcp import TcpConnection as Connection
    from leadscomm.entities.callback import Callback, CallbackChain
    from leadscomm.entities.client import Client
    from leadscomm.entities.entity import Entity
    from leadscomm.entities.node import Node
    from leadscomm.entities.server import Server
    from leadscomm.entities.service import Service
    from leadscomm.errors import (
        AuthenticationFailed,
        BoardError,
        BuildFailed,
        CallbackError,
        CommError,
        CommTimeout,
        ConnectFailed,
        ConnectionLost,
        DeliveryError,
        EndpointError,
        FirmwareCrashed,
        FirmwareError,
        FlashFailed,
        JournalError,
        JournalFull,
        LocalProtocolError,
        MissingExtra,
        MissingTool,
        OutboxFull,
        ProtocolError,
        RemoteProtocolError,
        ServiceError,
        TransferError,
    )
    from leadscomm.log import L, Level
    from leadscomm.protocol.framing import Framing, register_framing
    from leadscomm.sessions.doors import connect, listen
    from leadscomm.streams.receiving import Stream
    from leadscomm.streams.transfer import Transfer

__all__ = [
    "AuthenticationFailed",
    "AutoIdentity",
    "BoardError",
    "BuildFailed",
    "Callback",
    "CallbackChain",
    "CallbackError",
    "Client",
    "CommError",
    "CommTimeout",
    "ConnectFailed",
    "Connection",
    "ConnectionBase",
    "ConnectionLost",
    "DeliveryError",
    "Endpoint",
    "EndpointError",
    "Entity",
    "FirmwareCrashed",
    "FirmwareError",
    "FlashFailed",
    "Framing",
    "JournalError",
    "JournalFull",
    "L",
    "Level",
    "ListenerBase",
    "LocalProtocolError",
    "MissingExtra",
    "MissingTool",
    "Node",
    "OutboxFull",
    "ProtocolError",
    "RemoteProtocolError",
    "Scheme",
    "SerialConnection",
    "Server",
    "Service",
    "ServiceError",
    "Stream",
    "Transfer",
    "TransferError",
    "__version__",
    "connect",
    "create_client",
    "create_server",
    "listen",
    "register_framing",
    "register_scheme",
    "start_client",
    "start_server",
]

if not TYPE_CHECKING:  # or type checkers would take any name for one of these

    def __getattr__(name: str) -> Any:
        from leadscomm.homes import MODULES, fetch

        if name not in (*__all__, *MODULES):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = fetch(name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
