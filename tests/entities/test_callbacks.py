"""Callbacks that raise, block, close, send and re-enter disturb nobody else."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from functools import partial

import pytest

from leadscomm import (
    Callback,
    CallbackError,
    Client,
    CommError,
    Node,
    OutboxFull,
    Server,
    create_client,
    create_server,
)
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


def echo(service, msg):
    service.sender.send(msg)


def test_a_callback_that_raises_reaches_on_fail_and_loses_no_other_message():
    def fragile(service, msg):
        if msg.startswith(b"bad"):
            raise ValueError(msg.decode())
        service.sender.send(msg)

    heard, told = Recorder(fragile), Recorder()
    with create_server(0, heard) as server, create_client(server.port(), told) as client:
        for message in (b"a", b"bad 1", b"b", b"bad 2", b"bad 3", b"c"):
            client.send(message)
        assert told.wait("receive", 3) == [b"a", b"b", b"c"]
        assert [str(error) for error in heard.wait("fail", 3)] == ["bad 1", "bad 2", "bad 3"]
        assert server.num_connections() == 1


@pytest.mark.parametrize("where", ["on_initialize", "on_connect", "on_disconnect", "on_fail", "on_receive"])
def test_wherever_it_raises_the_service_goes_on(where, caplog):
    def wrong(*args):
        raise RuntimeError(where)

    heard, told = Recorder(echo), Recorder()
    setattr(heard, where, wrong)
    with create_server(0, heard) as server:
        if where == "on_fail":
            heard.on_receive = lambda service, msg: [][0]
        with create_client(server.port(), told) as client:
            client.send(b"one")
            if where in ("on_initialize", "on_connect", "on_disconnect"):
                told.wait("receive")
        with create_client(server.port(), told) as client:
            client.send(b"two")
            if where in ("on_initialize", "on_connect", "on_disconnect"):
                told.wait("receive", 2)
        wait_until(lambda: server.num_connections() == 0)
    if where == "on_fail":
        assert "on_fail raised" in caplog.text
    else:
        assert where in {str(error) for error in heard.of("fail")}


def test_sys_exit_in_a_callback_is_told_instead_of_killing_the_reader():
    def leave(service, msg):
        if msg == b"leave":
            raise SystemExit(1)

    heard = Recorder(leave)
    with create_server(0, heard) as server, create_client(server.port()) as client:
        client.send(b"leave")
        client.send(b"still here")
        heard.wait("receive", 2)
        (error,) = heard.wait("fail")
        assert isinstance(error, CommError)
        assert "SystemExit" in str(error)


@pytest.mark.parametrize("stuck", [1, 12])
def test_stuck_callbacks_delay_nobody_else(stuck):
    release = threading.Event()

    def stick(service, msg):
        if msg == b"stick":
            release.wait(PATIENCE_S)
        else:
            service.sender.send(msg)

    heard, told = Recorder(stick), Recorder()
    with create_server(0, heard) as server:
        stickers = [create_client(server.port()).start(parallel=True) for _ in range(stuck)]
        try:
            for sticker in stickers:
                sticker.send(b"stick")
            heard.wait("receive", stuck)
            with create_client(server.port(), told) as client:
                for i in range(20):
                    client.send(b"%d" % i)
                    told.wait("receive", i + 1)
                server.broadcast(b"all")
                assert told.wait("receive", 21)[-1] == b"all"
        finally:
            release.set()
        for sticker in stickers:
            sticker.close()


def test_a_stuck_on_connect_delays_nobody_else():
    release = threading.Event()

    class Sticky(Recorder):
        def on_connect(self, service, connection):
            super().on_connect(service, connection)
            if len(self.of("connect")) == 1:
                release.wait(PATIENCE_S)

    heard, told = Sticky(echo), Recorder()
    with create_server(0, heard) as server, create_client(server.port()):
        try:
            heard.wait("connect", 1)
            with create_client(server.port(), told) as client:
                client.send(b"x")
                told.wait("receive")
        finally:
            release.set()


def test_a_callback_may_send_to_everybody_and_to_itself():
    told = Recorder()

    def react(service, msg):
        service.broadcast(b"b:" + msg)
        service.sender.send(b"s:" + msg)
        if len(msg) < 4:
            service.callback.on_receive(service, msg + b"+")

    with create_server(0, Recorder(react)) as server, create_client(server.port(), told) as client:
        wait_until(lambda: server.num_connections() == 1)
        client.send(b"x")
        assert told.wait("receive", 8) == [b"b:x", b"s:x", b"b:x+", b"s:x+", b"b:x++", b"s:x++", b"b:x+++", b"s:x+++"]


def test_closing_the_connection_inside_on_receive_ends_it_there():
    def once(service, msg):
        service.sender.send(b"bye")
        service.sender.close()

    heard = Recorder(once)
    with create_server(0, heard) as server, socket.create_connection(("127.0.0.1", server.port())) as peer:
        peer.settimeout(PATIENCE_S)
        peer.sendall(b"x;x;x;")
        data = b""
        while chunk := peer.recv(100):
            data += chunk
        peer.close()
        heard.wait("disconnect")
    assert data == b"bye;disconnect;"
    assert heard.of("receive") == [b"x"]
    assert heard.of("fail") == []


@pytest.mark.parametrize("where", ["on_initialize", "on_connect", "on_receive", "on_disconnect"])
def test_closing_the_service_inside_a_callback(where):
    class Closing(Recorder):
        pass

    def close(self, service, *args):
        getattr(super(Closing, self), where)(service, *args)
        service.close()

    setattr(Closing, where, close)
    heard = Closing()
    server = create_server(0, heard).start(parallel=True)
    if where != "on_initialize":
        with create_client(server.port(), Recorder()) as client:
            if where in ("on_receive", "on_disconnect"):
                client.send(b"x")
                heard.wait("receive")
    assert server.join(PATIENCE_S)
    assert heard.of("fail") == []
    assert len(heard.of("connect")) == len(heard.of("disconnect"))


def test_a_client_closing_itself_inside_on_receive():
    told = Recorder(lambda service, msg: service.close())
    with create_server(0, Recorder(echo)) as server:
        client = create_client(server.port(), told).start(parallel=True)
        client.send(b"x")
        assert client.join(PATIENCE_S)
    assert told.kinds() == ["initialize", "connect", "receive", "disconnect"]


def test_inside_a_callback_a_full_outbox_raises_at_once():
    told = Recorder()
    release = threading.Event()

    def flood(service, msg):
        if msg == b"flood":
            while True:
                service.sender.send(b"x" * 60000)
        release.wait(PATIENCE_S)

    heard = Recorder(flood)
    stuck = Recorder(lambda service, msg: release.wait(PATIENCE_S))
    with create_server(0, heard, outbox=1 << 20) as server, create_client(server.port(), stuck) as client:
        try:
            client.send(b"flood")
            (error,) = heard.wait("fail")
            assert isinstance(error, OutboxFull)
            assert "inside a callback" in str(error)
        finally:
            release.set()
    assert told.of("fail") == []


def test_what_a_stuck_on_fail_cannot_be_told_of_reaches_the_log(caplog):
    release = threading.Event()

    class Stuck(Recorder):
        def on_fail(self, service, error):
            super().on_fail(service, error)
            release.wait(PATIENCE_S)

    heard = Stuck()
    with create_server(0, heard) as server:
        try:
            server._report(CommError("first"))
            heard.wait("fail")
            for i in range(1001):
                server._report(CommError(f"number {i}"))
            assert caplog.text.count("is not told of") == 1
            assert "number 0" in caplog.text
        finally:
            release.set()
        heard.wait("fail", 1001)
    assert str(heard.of("fail")[-1]) == "number 1000"


# Chains ------------------------------------------------------------------------------------------------------------


class Link(Callback):
    def __init__(self, name, log):
        super().__init__()
        self.name = name
        self.log = log

    def on_receive(self, service, msg):
        self.log.append(self.name)
        self.super(service=service, msg=msg)


def test_the_newest_link_comes_first_and_reaches_the_others():
    log = []
    first, second, third = (Link(name, log) for name in "ABC")
    server = create_server(0, first)
    server.set_callback(second)
    server.set_callback(third)
    server.callback.on_receive(server, b"")
    assert log == ["C", "B", "A"]


def test_installing_a_link_twice_moves_it_to_the_top():
    log = []
    first, second, third = (Link(name, log) for name in "ABC")
    server = create_server(0, first)
    for link in (second, third, second, second, first):
        server.set_callback(link)
    server.callback.on_receive(server, b"")
    assert log == ["A", "B", "C"]


def test_super_works_through_helpers_and_lambdas_and_chained_says_it():
    log = []

    class Helped(Link):
        def on_receive(self, service, msg):
            self.log.append(self.name)
            self.helper(service, msg)
            (lambda: self.super(service, msg))()
            self.chained.on_receive(service, msg)

        def helper(self, service, msg):
            self.super(service, msg)

    top = Helped("B", log)
    top.bind_chain(Link("A", log))
    top.on_receive(None, b"")
    assert log == ["B", "A", "A", "A"]
    Helped("alone", log).on_receive(None, b"")  # no chain: nothing happens
    assert log[-1] == "alone"


def test_super_from_nowhere_names_the_mend():
    top = Link("A", [])
    top.bind_chain(Link("B", []))
    with pytest.raises(AttributeError, match="chained"):
        top.super()


class AsyncCallable:
    async def __call__(self, service, msg):
        raise AssertionError


async def asynchronous(service, msg):
    raise AssertionError


def generator(service, msg):
    yield


class AsyncReceive(Callback):
    async def on_receive(self, service, msg):
        raise AssertionError


class AsyncFail(Callback):
    async def on_fail(self, service, error):
        raise AssertionError


class AsyncGenerator(Callback):
    async def on_connect(self, service, connection):
        yield


class TooFew(Callback):
    def on_receive(self, msg): ...


class WithYield(Callback):
    def on_receive(self, service, msg):
        yield


class Static(Callback):
    @staticmethod
    async def on_receive(service, msg):
        raise AssertionError


def having(on_receive):
    callback = Callback()
    callback.on_receive = on_receive
    return callback


WRONG = {
    "class": (lambda: Recorder, r"is a class, and an instance is wanted: write Recorder\(\)"),
    "base class": (lambda: Callback, r"write Callback\(\)"),
    "function": (lambda: generator, "is no callback, it has no on_initialize"),
    "lambda": (lambda: lambda *_: None, "Echo"),
    "string": (lambda: "echo", "is no callback"),
    "async": (AsyncReceive, "AsyncReceive.on_receive is async, and nobody awaits it"),
    "async on_fail": (AsyncFail, "AsyncFail.on_fail is async"),
    "async generator": (AsyncGenerator, "on_connect is async"),
    "generator": (WithYield, "has a yield"),
    "too few": (TooFew, r"TooFew.on_receive does not take what it is told: write def on_receive\(self, service, msg\)"),
    "too many": (lambda: having(lambda service, msg, peer: None), "does not take what it is told"),
    "static": (Static, "is async"),
    "partial": (lambda: having(partial(asynchronous)), "is async"),
    "partial twice": (lambda: having(partial(partial(asynchronous, None), None)), "is async"),
    "callable": (lambda: having(AsyncCallable()), "is async"),
    "partial of a callable": (lambda: having(partial(AsyncCallable())), "is async"),
    "chained": (lambda: Callback(AsyncReceive()), "AsyncReceive.on_receive is async"),
    "chained class": (lambda: Callback(Recorder), "is a class"),
    "chained function": (lambda: Callback(generator), "is no link of a chain"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize(
    "make",
    [
        lambda callback: Server("tcp://127.0.0.1:0", callback),
        lambda callback: Client("tcp://127.0.0.1:9", callback),
        lambda callback: Node("arm", listen=["tcp://127.0.0.1:0"], callback=callback),
        lambda callback: create_server(0, callback),
        lambda callback: create_client(9, callback),
        lambda callback: Server("tcp://127.0.0.1:0", Callback()).set_callback(callback),
    ],
    ids=["Server", "Client", "Node", "create_server", "create_client", "set_callback"],
)
def test_what_cannot_be_called_back_is_told_at_once(make, kind):
    given, match = WRONG[kind]
    with pytest.raises(CallbackError, match=match) as told:
        make(given())
    assert isinstance(told.value, TypeError)


def test_a_method_that_nobody_calls_is_told(caplog):
    class Typo(Callback):
        def on_recieve(self, service, msg): ...

        def on_button(self, number): ...

    Server("tcp://127.0.0.1:0", Typo())
    assert [record.getMessage() for record in caplog.records] == [
        "nobody calls Typo.on_recieve; did you mean on_receive?"
    ]


def test_what_only_looks_like_a_coroutine_function_is_taken():
    def runs(service, msg):
        return asyncio.run(asynchronous(service, msg))

    functools.update_wrapper(runs, asynchronous)
    Server("tcp://127.0.0.1:0", having(runs))


@pytest.mark.parametrize("reliable", [0, 1])
def test_an_awaitable_that_a_callback_returns_is_told(reliable):
    """It cannot be seen before: a plain function that returns a coroutine, or one that was put there later."""
    heard = Recorder()
    callback = having(lambda service, msg: asynchronous(service, msg))
    callback.on_fail = heard.on_fail
    callback.on_connect = lambda service, connection: asynchronous(service, connection)
    url = f"tcp://127.0.0.1:0?reliable={reliable}"
    with Server(url, callback) as server, Client(server.endpoint, Recorder()) as client:
        client.send(b"nobody handles this")
        told = [str(error) for error in heard.wait("fail", 2)]
    assert all("a callback returned the coroutine asynchronous, and nobody awaits it" in text for text in told)


def test_what_else_a_callback_returns_means_nothing():
    heard = Recorder()
    callback = having(lambda service, msg: heard.note("receive", msg) or True)
    callback.on_fail = heard.on_fail
    with Server("tcp://127.0.0.1:0", callback) as server, Client(server.endpoint, Recorder()) as client:
        client.send(b"1")
        heard.wait("receive")
    assert not heard.of("fail")


def test_an_awaitable_of_on_fail_reaches_the_log(caplog):
    callback = Recorder(lambda service, msg: 1 / 0)
    callback.on_fail = lambda service, error: asynchronous(service, error)
    with Server("tcp://127.0.0.1:0", callback) as server, Client(server.endpoint, Recorder()) as client:
        client.send(b"1")
        wait_until(lambda: "nobody awaits it" in caplog.text)
    assert "division by zero" in caplog.text
