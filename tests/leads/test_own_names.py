"""Users' classes bring names of their own, and LEADS leaves most names free: none of ours may collide with them."""

from __future__ import annotations

import socket

import pytest

from leadscomm import Scheme, create_client, create_server, register_scheme
from leadscomm.connections.endpoint import SCHEMES
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.leads.staging import Arm, LeadsShaped
from tests.leads.test_own_connections import Desk


class Robot(Arm):
    """Names that a user may give to what his machine has and does; each refuses to be called by us."""

    def __init__(self, connection, callback):
        super().__init__(connection, callback)
        self.name = "robot"
        self.stages = self.timers = self.reports = self.state = self.lock = self.thread = None
        self.connection = connection

    def _ours(self, *args, **kwargs):
        raise AssertionError("leadscomm called a method of the user's")

    call = fail = report = raised = left = joined = equip = flusher = update = read = write = initialize = _ours
    reset = stop = ready = open = send = error = wait = status = log = _ours


class Line(LeadsShaped):
    """The same for a connection."""

    def __init__(self, sock):
        super().__init__(sock)
        self.address = self.peer = "somewhere"
        self.framing = self.outbox = self.patience = self.keeper = None
        self.key = self.accepted = self.separator = self.buffer = self.state = None

    def _ours(self, *args, **kwargs):
        raise AssertionError("leadscomm called a method of the user's")

    open = abort = finish = more = unread = read_batch = set_blocking = shut_sending = fileno = _ours
    read = write = flush = reset = timeout = ready = _ours


def echo(service, msg):
    service.sender.send(msg)


@pytest.mark.parametrize("kind", [LeadsShaped, Line])
def test_names_of_an_entity_and_its_connection(kind):
    near, far = socket.socketpair()
    far.settimeout(PATIENCE_S)
    with near, far:
        told = Recorder(echo)
        robot = Robot(kind(near), told).start(True)
        far.sendall(b"one;two;")
        got = b""
        while len(got) < 8:
            got += far.recv(100)
        assert got == b"one;two;"
        assert robot.name == "robot"
        far.sendall(b"disconnect;")
        assert robot.join(PATIENCE_S)
    assert told.kinds() == ["initialize", "connect", "receive", "receive", "disconnect"]


def test_names_of_a_connection_that_is_served():
    def dial(address, deadline):
        near, far = socket.socketpair()
        Desk.desks[address.path].waiting.put(far)
        return Line(near)

    class Lines(Desk):
        def accept(self):
            sock = self.waiting.get()
            return None if sock is None else Line(sock)

    register_scheme("lines", Scheme(dial, Lines, place="path"))
    try:
        heard, told = Recorder(echo), Recorder()
        with create_server("lines://here", heard) as server, create_client("lines://here", told) as client:
            wait_until(lambda: server.num_connections() == 1)
            client.send(b"one")
            assert told.wait("receive") == [b"one"]
            server.broadcast(b"two")
            assert told.wait("receive", 2) == [b"one", b"two"]
        assert heard.of("fail") == told.of("fail") == []
    finally:
        del SCHEMES["lines"]
