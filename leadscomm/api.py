"""The LEADS door: ``create_server``, ``start_server``, ``create_client``, ``start_client``, as ``leads.comm`` has them.

What is new is optional: ``port`` may be any endpoint, and the options of endpoints may be given as keyword arguments.
"""

from __future__ import annotations

from typing import Any, Final

from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.callback import Callback
from leadscomm.entities.client import Client
from leadscomm.entities.server import Server

SEPARATOR: Final = b";"
"""LEADS's."""


def create_server(
    port: int | str | Endpoint = 16900, callback: Callback | None = None, separator: bytes = SEPARATOR, **options: Any
) -> Server:
    """Create a server; :func:`start_server` starts it.

    :param port: a port on this machine, which then only its own programs reach; or an endpoint such as
        ``tcp://0.0.0.0:16900``.
    :param callback: what is told.
    :param separator: what ends each message. LEADS's ``b";"`` also stands for "whatever the endpoint says".
    :param options: options of the endpoint, by the names that they have in its URL, such as ``max_connections=10``.
    :raises EndpointError: the endpoint or an option is wrong; the text names the right ones.
    """
    return Server(port, callback, _chosen(separator), **options)


def start_server(target: Server | None = None, parallel: bool = False) -> Server:
    """Start a server; ``create_server()`` if none is given.

    :param parallel: False: run it in this thread, until it is closed; True: return as soon as it listens.
    :return: the server.
    """
    return (create_server() if target is None else target).start(parallel)


def create_client(
    port: int | str | Endpoint = 16900, callback: Callback | None = None, separator: bytes = SEPARATOR, **options: Any
) -> Client:
    """Create a client; :func:`start_client` starts it.

    :param port: the port to connect to; or an endpoint such as ``serial:///dev/ttyACM0?baud=115200``, which names the
        host too.
    :param callback: what is told.
    :param separator: what ends each message. LEADS's ``b";"`` also stands for "whatever the endpoint says".
    :param options: options of the endpoint, by the names that they have in its URL. As in LEADS the client ends with
        its connection; ``reconnect=True`` has it connect again.
    :raises EndpointError: the endpoint or an option is wrong; the text names the right ones.
    """
    endpoint = Endpoint.parse(port, **options)
    if endpoint.options["reconnect"] is None:
        options["reconnect"] = False
    return Client(port, callback, _chosen(separator), **options)


def start_client(server_address: str | None = None, target: Client | None = None, parallel: bool = False) -> Client:
    """Start a client; ``create_client()`` if none is given.

    :param server_address: a name or an address; may be left out where ``port`` was an endpoint, and must not
        contradict it.
    :param parallel: False: run it in this thread, until its connection ends; True: return as soon as the first
        attempt to connect has ended.
    :return: the client.
    """
    return (create_client() if target is None else target).start(parallel, server_address=server_address)


def _chosen(separator: bytes) -> bytes | None:
    """The separator if the caller chose one; the endpoint's framing, and so its separator, otherwise."""
    return None if separator == SEPARATOR else separator
