"""Does with LEADS what it is told: a program for LEADS's own Python, run by tests/interop/leads_peer.py.

It reads commands from standard input and writes what happens to standard output, each a JSON list in a line of its own.
Messages are written in hex. It knows nothing of leadscomm.
"""

import inspect
import json
import os
import sys
import threading
import time

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what LEADS itself prints is not ours
lock = threading.Lock()


def tell(kind, *what):
    with lock:
        out.write(json.dumps([kind, *what]) + "\n")
        out.flush()


from leads.comm import Callback, create_client, create_server, start_client, start_server  # noqa: E402


class Teller(Callback):
    def __init__(self):
        super().__init__()
        self.connections = []

    def on_initialize(self, service):
        tell("initialize", service._socket.getsockname()[1])

    def on_connect(self, service, connection):
        self.connections.append(connection)
        tell("connect", str(connection))

    def on_receive(self, service, msg):
        tell("receive", msg.hex())

    def on_disconnect(self, service, connection):
        tell("disconnect", str(connection), connection.closed())

    def on_fail(self, service, error):
        tell("fail", repr(error))


class Program:
    """Each method is a command."""

    def __init__(self):
        self.callback = Teller()
        self.service = None

    def server(self, *separator):
        more = [part.encode() for part in separator]  # 0.6.1 takes none
        self.service = start_server(create_server(0, self.callback, *more), True)

    def client(self, port, *separator):
        more = [part.encode() for part in separator]
        self.service = start_client("127.0.0.1", create_client(port, self.callback, *more), True)
        while self.service._connection is None:  # LEADS sets it after on_connect, and tells nobody
            time.sleep(0.001)
        tell("dialled")

    def send(self, *messages):
        for message in messages:
            self.service.send(bytes.fromhex(message))

    def broadcast(self, *messages):
        for message in messages:
            self.service.broadcast(bytes.fromhex(message))

    def count(self):
        tell("count", self.service.num_connections())

    def disconnect(self, which=0):
        self.callback.connections[which].disconnect()

    def close(self, which=0):
        self.callback.connections[which].close()

    def serial(self, port, baud):
        """LEADS's serial connection, staged as its entities do."""
        from leads_comm_serial import SerialConnection
        from serial import Serial

        new = "separator" in inspect.signature(SerialConnection).parameters
        self.stage(SerialConnection(Serial(port, baud)) if new else SerialConnection(None, Serial(port, baud), port))

    def stage(self, connection):
        self.callback.connections.append(connection)
        tell("connect", connection._serial.port)

        def run():
            while (message := connection.receive()) not in (None, b"disconnect"):
                tell("receive", message.hex())
            tell("disconnect", connection._serial.port, connection.closed())
            connection.close()

        threading.Thread(target=run, daemon=True).start()

    def find(self, port, tag):
        """LEADS's host: finds out whether the board on this port is the one with this tag."""
        from leads_comm_serial import AutoIdentity, identity
        from serial import Serial

        class Host(AutoIdentity):
            def check_identity(self, connection):
                connection.send(b"ic")
                return (message := connection.receive()) and message.startswith(tag.encode())

        identity._available_ports[:] = [port]  # what it found when it was imported were the ports of this machine
        serial = Serial()
        serial.port = port
        self.stage(Host().establish_connection(serial))

    def write(self, *messages):
        """Over the serial connection."""
        for message in messages:
            self.callback.connections[-1].send(bytes.fromhex(message))


program = Program()
tell("ready")
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        getattr(program, name)(*arguments)
    except Exception as error:
        tell("raised", repr(error))
os._exit(0)  # threads of LEADS may be stuck in accept for ever
