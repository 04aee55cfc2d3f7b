"""Runs one example of LEADS's documentation, given on standard input: a program, run by test_documented_examples.py.

The example runs in a thread. What it starts and blocks on is used by a peer and then closed, and so is what it started
in parallel. The last line printed says what came of it, as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable

from leadscomm import Callback, Client, Entity, Server, create_server, start_client, start_server
from leadscomm.entities import service as services

PATIENCE_S = 60.0


class Greeter(Callback):
    """The other side of a client: greets it, and hangs up."""

    def on_connect(self, service, connection) -> None:
        connection.send(b"hello from the server")
        connection.close()


def wait_until(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise SystemExit("it did not happen")


def started(but: Entity | None) -> list[Entity]:
    return [service for service in list(services._running) if service is not but and service.running()]


def talk_to(port: int) -> bytes:
    """Be a client without leadscomm; return what the server says until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as peer:
        peer.sendall(b"hello from a client;disconnect;")
        said = b""
        while chunk := peer.recv(100):
            said += chunk
    return said


def use(service: Entity) -> None:
    """Talk to what the example started, and close it. What a client hears ends by the server's goodbye."""
    if isinstance(service, Server):
        wait_until(lambda: service._ready.is_set())
        talk_to(service.port())
    else:
        service.join(PATIENCE_S)
    service.close()


def main() -> None:
    code = sys.stdin.read()
    names: dict[str, object] = {"__name__": "__main__"}
    raised: list[str] = []

    def run() -> None:
        try:
            exec(compile(code, "example", "exec"), names)
        except Exception as error:
            raised.append(f"{type(error).__name__} {isinstance(error, IOError)}")

    other = start_server(create_server(callback=Greeter()), True) if "Client" in code else None
    example = threading.Thread(target=run, daemon=True)
    example.start()
    wait_until(lambda: not example.is_alive() or started(other))
    for service in started(other):
        use(service)
    example.join(PATIENCE_S)
    made = names.get("server") or names.get("client")
    blocks = getattr(made, "_main_thread", None) is example  # it ran in the thread that started it
    if "MyCallback" in names and isinstance(made, Server):
        use(start_server(made, True))
    elif "MyCallback" in names and isinstance(made, Client):
        use(start_client("127.0.0.1", made, True))
    if other is not None:
        other.close()
    ended = not example.is_alive() and not started(None)
    print(json.dumps({"blocks": blocks, "raised": raised, "made": type(made).__name__, "ended": ended}))


main()
