"""What strangers can do to a server or a node: nothing but take a place for a moment."""

from __future__ import annotations

import contextlib
import gc
import itertools
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadscomm import Callback, Client, Node, Server, Service, connect
from leadscomm.connections.address import origin_of
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.protocol.challenge import MAGIC
from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.handshake import ASKING, COMPACT, FULL, NAME_TAKEN, OTHER_PROFILE, Handshake, Refusal
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import lane_number
from tests.entities.raw_peer import raw, read_until_end
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

KEY = b"sixteen bytes or more"
TCP, UDP = "tcp://127.0.0.1:0", "udp://127.0.0.1:0"
QUICK = {"handshake_timeout": 0.5}


class Stranger:
    """Somebody who speaks frames over TCP, and says what he likes."""

    def __init__(self, port: int) -> None:
        self.socket = raw(port)
        self.framing = CobsFraming()
        self.came: list[bytes] = []

    def say(self, *frames: bytes) -> None:
        self.socket.sendall(self.framing.encode_all(list(frames)))

    def hear(self, which: int) -> bytes:
        """The next control frame of a kind; b"" at the end."""
        while True:
            while self.came:
                frame = self.came.pop(0)
                if frame[0] >> 3 == wire.CONTROL << 3 | which:
                    return frame
            data = self.socket.recv(65536)
            if not data:
                return b""
            self.came += self.framing.feed(data)

    def ask(self, name: str) -> int:
        """Ask who is there, under a name; the epoch in the answer."""
        self.say(Handshake(99, profiles=ASKING, tag=name).hello())
        said = Handshake.decode(self.hear(wire.WELCOME)[1:])
        assert said is not None
        return said.epoch

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def strangers() -> Iterator[Callable[[int], Stranger]]:
    """Brings strangers to a port."""
    with contextlib.ExitStack() as them:

        def come(port: int) -> Stranger:
            stranger = Stranger(port)
            them.callback(stranger.close)
            return stranger

        yield come


def offer(epoch: int, name: str = "", key: bytes | None = None) -> Offer:
    return Offer(Handshake(epoch, profiles=FULL, tag=name), key=key)


def greet(stranger: Stranger, epoch: int, name: str = "") -> bytes:
    """Begin a session as an honest peer does; the WELCOME."""
    stranger.say(offer(epoch, name).hello())
    welcome = stranger.hear(wire.WELCOME)
    found = full.read_control(stranger.hear(wire.PING))
    assert found is not None
    clock = full.read_ping(found.body)
    assert clock is not None
    stranger.say(full.pong(epoch, clock, 0, 0))
    return welcome


# Epochs ---------------------------------------------------------------------------------------------------------------


def test_a_node_tells_nobody_the_epochs_of_a_session(strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with Node("base", listen=[TCP], callback=heard) as base:  # noqa: SIM117 - its port is needed
        with Node("arm", listen=[TCP], connect=[f"tcp://127.0.0.1:{base.port()}"]) as arm:
            heard.wait("connect")
            session = base.peer("arm").session  # type: ignore[attr-defined]
            epochs = {session.me.epoch, session.peer.epoch}
            told = {strangers(node.port()).ask(name) for node in (base, arm) for name in ("arm", "base", "x", "")}
            assert not told & epochs
            for epoch in told:  # with what is told, nothing comes of it
                stranger = strangers(base.port())
                stranger.say(offer(4711, "arm").hello(echo=epoch), full.data(lane_number(4), 4711, 0, b"\x06forged"))
                assert stranger.hear(wire.REFUSE)
            arm.send(b"still here", to="base")
            assert heard.wait("receive") == [b"still here"]
            assert "disconnect" not in heard.kinds()


@pytest.mark.parametrize("kind", ["server", "node"])
def test_a_name_is_not_taken_from_a_peer_that_answers(kind: str, strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with contextlib.ExitStack() as open_ones:
        if kind == "server":
            service: Server | Node = open_ones.enter_context(Server(f"{TCP}?reliable=1", heard, **QUICK))
            honest: Client | Node = open_ones.enter_context(
                Client(f"tcp://127.0.0.1:{service.port()}?reliable=1&name=arm")
            )
        else:
            service = open_ones.enter_context(Node("base", listen=[TCP], callback=heard))
            honest = open_ones.enter_context(Node("arm", connect=[f"tcp://127.0.0.1:{service.port()}"]))
        heard.wait("connect")
        stranger = strangers(service.port())
        stranger.say(offer(4711, "arm").hello())
        assert stranger.hear(wire.REFUSE)[:2] == Refusal(NAME_TAKEN).frame()[:2]
        assert "two peers are called 'arm'" in str(heard.wait("fail")[0])
        honest.send(b"mine", **({} if kind == "server" else {"to": "base"}))
        assert heard.wait("receive") == [b"mine"]
        assert "disconnect" not in heard.kinds()


def test_a_session_ends_for_no_sign_of_a_stranger(strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with Server(f"{TCP}?reliable=1", heard) as server:  # noqa: SIM117 - its port is needed
        with Client(f"tcp://127.0.0.1:{server.port()}?reliable=1") as client:
            (session,) = heard.wait("connect")
            peers = session.session.peer.epoch
            stranger = strangers(server.port())
            stranger.say(
                offer(peers).hello(), full.control(wire.BYE, peers), full.data(lane_number(4), peers, 0, b"\0")
            )
            client.send(b"x")
            heard.wait("receive")
            assert heard.of("receive") == [b"x"]
            assert "disconnect" not in heard.kinds()
            assert len(session.lines) == 1


# Copies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, KEY])
def test_a_copied_greeting_begins_nothing(key: bytes | None, strangers: Callable[[int], Stranger]) -> None:
    class Greeter(Recorder):
        def on_connect(self, service: Service, connection: object) -> None:
            super().on_connect(service, connection)  # type: ignore[arg-type]
            connection.send(b"secret")  # type: ignore[attr-defined]

    heard = Greeter()
    with Server(f"{TCP}?reliable=1", heard, key=key, **QUICK) as server:
        stranger = strangers(server.port())
        stranger.say(offer(1, "arm", key).hello())
        assert stranger.hear(wire.WELCOME)
        said = read_until_end(stranger.socket)
        assert b"secret" not in said
        assert "does not go on" in str(heard.wait("fail")[0])
        assert "connect" not in heard.kinds()


# UDP ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        offer(1).hello(),
        Handshake(1, profiles=ASKING).hello(),
        Handshake(1, profiles=COMPACT).hello(),
        Handshake(1, profiles=8).hello(),
        Handshake(1, version=2).hello(),
        full.data(0, 5, 0, b""),
        full.control(wire.PING, 5),
        b"\xc0",
        b"\x40",
    ],
)
@pytest.mark.parametrize("kind", ["server", "node"])
def test_an_address_that_never_answers_gets_little(kind: str, said: bytes) -> None:
    heard = Recorder(lambda service, message: None)
    name = "a name of more than forty bytes, which is long for one"
    with contextlib.ExitStack() as open_ones:
        if kind == "server":
            service: Server | Node = Server(f"{UDP}?reliable=1", heard, key=KEY, handshake_timeout=0.3)
        else:
            service = Node(name, listen=[UDP], callback=heard)
            service._handshake_timeout = 0.3
        open_ones.enter_context(service)
        victim = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        victim.settimeout(0.4)
        for count in (1, 20):
            for _ in range(count):
                victim.sendto(said, ("127.0.0.1", service.port()))
            got = []
            with contextlib.suppress(TimeoutError):
                while True:
                    got.append(victim.recv(65536))
            assert len(got) < 3 * count
            assert sum(map(len, got)) < 3 * count * len(said)
        assert "connect" not in heard.kinds()


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def addresses_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """``max_per_address`` counts peers of this machine as well."""
    from leadscomm.connections.sockets import tcp

    assert origin_of("127.0.0.1") is None
    monkeypatch.setattr(tcp, "origin_of", str)


@pytest.mark.usefixtures("addresses_count")
def test_compact_peers_count(strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with Server(f"{TCP}?reliable=1&max_per_address=4", heard) as server:
        for epoch in range(1, 5):
            stranger = strangers(server.port())
            stranger.say(Handshake(epoch, profiles=COMPACT).hello())
            assert stranger.hear(wire.WELCOME)
        heard.wait("connect", 4)
        assert strangers(server.port()).hear(wire.WELCOME) == b""
        assert "max_per_address" in str(heard.wait("fail")[0])
        assert server.num_connections() == 4


@pytest.mark.usefixtures("addresses_count")
@pytest.mark.parametrize("limit", ["max_per_address", "max_connections"])
def test_sessions_without_a_line_count_until_others_need_the_place(
    limit: str, strangers: Callable[[int], Stranger]
) -> None:
    heard = Recorder(lambda service, message: service.sender.send(message))
    with Server(f"{TCP}?reliable=1&{limit}=3", heard) as server:
        used = connect(f"tcp://127.0.0.1:{server.port()}?reliable=1")
        used.send(b"x")
        assert used.receive(PATIENCE_S) == b"x"
        for epoch in range(1, 3):
            stranger = strangers(server.port())
            greet(stranger, epoch)
            heard.wait("connect", epoch + 1)
            stranger.close()
        wait_until(lambda: len(server._acceptor._held) == 1)  # type: ignore[union-attr]
        assert server.num_connections() == 3
        honest = connect(f"tcp://127.0.0.1:{server.port()}?reliable=1")
        honest.send(b"y")
        assert honest.receive(PATIENCE_S) == b"y"
        assert "needed its place" in heard.wait("disconnect")[0].session.ended
        used.send(b"z")
        assert used.receive(PATIENCE_S) == b"z"
        honest.close()
        used.close()


@pytest.mark.usefixtures("addresses_count")
@pytest.mark.parametrize("limit", ["max_per_address", "max_connections"])
def test_many_names_keep_no_other_from_a_node(limit: str, strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with Node("base", listen=[f"{TCP}?{limit}=3"], callback=heard) as base:
        for epoch in range(1, 9):
            stranger = strangers(base.port())
            greet(stranger, epoch, f"stranger-{epoch}")
            heard.wait("connect", epoch)
            stranger.close()
            wait_until(lambda: not base._carrying)
        heard.wait("disconnect", 5)
        with Node("arm", connect=[f"tcp://127.0.0.1:{base.port()}"]):
            wait_until(lambda: "arm" in base.peers())
        assert not heard.of("fail")


def test_who_gives_another_name_each_time_it_is_dialled_takes_one_place() -> None:
    """Of the sessions that are asked for, and never begin."""

    def liar(listener: socket.socket) -> None:
        for number in itertools.count():
            try:
                line, _ = listener.accept()
            except OSError:  # the test is over
                return
            with line, contextlib.suppress(OSError):  # at the end
                for question in CobsFraming().feed(line.recv(65536)):
                    asked = Handshake.decode(question[1:])
                    assert asked is not None
                    answer = Handshake(7, profiles=ASKING, tag=f"stranger-{number}").welcome(asked, ASKING)
                    line.sendall(CobsFraming().encode_all([answer]))
                    names.append(number)

    names: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=liar, args=(listener,))
        thread.start()
        dialled = f"tcp://127.0.0.1:{listener.getsockname()[1]}?reconnect_min=0&reconnect_max=0&max_connections=3"
        with Node("base", listen=[f"{TCP}?max_connections=3"], connect=[dialled]) as base:
            wait_until(lambda: len(names) > 6)
            with Node("arm", connect=[f"tcp://127.0.0.1:{base.port()}"]):
                wait_until(lambda: "arm" in base.peers())
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


@pytest.mark.usefixtures("addresses_count")
@pytest.mark.parametrize("limit", ["max_per_address", "max_connections"])
@pytest.mark.parametrize(("options", "more"), [("reliable=1", {}), ("reliable=1", {"key": KEY}), ("", {"key": KEY})])
def test_who_does_not_show_who_he_is_keeps_nobody_out(options: str, more: dict[str, bytes], limit: str) -> None:
    heard = Recorder(lambda service, message: service.sender.send(message))
    endpoint = f"{TCP}?{limit}=3&handshake_timeout=60&{options}"
    with Server(endpoint, heard, **more) as server, contextlib.ExitStack() as open_ones:  # type: ignore[arg-type]
        first, *_ = [open_ones.enter_context(raw(server.port())) for _ in range(3)]
        wait_until(lambda: len(server._opening) == 3)
        for word in (b"x", b"y"):
            honest = connect(f"tcp://127.0.0.1:{server.port()}?{options}", **more)  # type: ignore[arg-type]
            open_ones.callback(honest.close)
            honest.send(word)
            assert honest.receive(PATIENCE_S) == word
        assert read_until_end(first) in (b"", MAGIC)
        assert "had not shown who they are" in str(heard.wait("fail")[0])
        assert len(heard.of("fail")) == 1
        assert server.num_connections() == 2


@pytest.mark.parametrize("more", [{}, {"key": KEY}])
def test_addresses_that_are_not_theirs_keep_nobody_out(more: dict[str, bytes]) -> None:
    heard = Recorder(lambda service, message: service.sender.send(message))
    endpoint = f"{UDP}?reliable=1&max_connections=3&handshake_timeout=60"
    with Server(endpoint, heard, **more) as server, contextlib.ExitStack() as open_ones:  # type: ignore[arg-type]
        for _ in range(8):
            stranger = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            stranger.sendto(b"no greeting", ("127.0.0.1", server.port()))
        wait_until(lambda: len(server._opening) == 3)
        honest = connect(f"udp://127.0.0.1:{server.port()}?reliable=1", **more)  # type: ignore[arg-type]
        open_ones.callback(honest.close)
        honest.send(b"x")
        assert honest.receive(PATIENCE_S) == b"x"
        assert "found no room (max_connections=3)" in str(heard.wait("fail")[0])
        assert len(heard.of("fail")) == 1


def test_who_proves_nothing_leaves_nothing(strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with Server(f"{TCP}?reliable=1&max_connections=2", heard) as server:
        for epoch in range(1, 6):
            stranger = strangers(server.port())
            stranger.say(offer(epoch).hello())
            assert stranger.hear(wire.WELCOME)
            stranger.close()
            wait_until(lambda: not server._acceptor._held)  # type: ignore[union-attr]
        honest = connect(f"tcp://127.0.0.1:{server.port()}?reliable=1")
        heard.wait("connect")
        honest.close()


BURST = """
import sys
from leadscomm import Callback, Server
class Quiet(Callback):
    def on_receive(self, service, message): service.sender.send(message)
    def on_fail(self, service, error): pass
with Server(sys.argv[1], Quiet(), handshake_timeout=60.0, **eval(sys.argv[2])) as server:
    print(server.port(), flush=True)
    sys.stdin.readline()
"""


def held_by(pid: int) -> int:
    """Bytes of memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def client_hello() -> bytes:
    """The first word of TLS."""
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(came, goes, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return goes.read()


FILES = Path(__file__).parents[1] / "data" / "tls"
CERTIFIED = f"cert={FILES}/server.pem&cert_key={FILES}/server.key"
TRUSTING = f"ca={FILES}/ca.pem&server_name=localhost"
ENDLESS = b"\xff" * 60_000
BURSTS = [
    ("tcp", "reliable=1", "reliable=1", {}, ENDLESS, 64),
    ("tcp", "reliable=1", "reliable=1", {"key": KEY}, ENDLESS, 64),
    ("tcp", "", "", {"key": KEY}, MAGIC, 64),
    ("tls", CERTIFIED, TRUSTING, {}, b"", 64),
    ("tls", CERTIFIED, TRUSTING, {}, client_hello(), 96),
]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and a pool")
@pytest.mark.parametrize(("scheme", "ours", "theirs", "more", "words", "kibibytes"), BURSTS)
def test_a_burst_of_strangers_holds_up_nobody(
    scheme: str, ours: str, theirs: str, more: dict[str, bytes], words: bytes, kibibytes: int
) -> None:
    command = [sys.executable, "-c", BURST, f"{scheme}://127.0.0.1:0?{ours}", repr(more)]
    count = 120
    with contextlib.ExitStack() as open_ones:
        child = open_ones.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        open_ones.callback(child.kill)
        assert child.stdout is not None
        port = int(child.stdout.readline())
        before = held_by(child.pid)
        for _ in range(count):
            open_ones.enter_context(raw(port)).sendall(words)
        honest = connect(f"{scheme}://127.0.0.1:{port}?{theirs}", **more)  # type: ignore[arg-type]
        honest.send(b"x")
        assert honest.receive(PATIENCE_S) == b"x"  # not behind them, who have a minute
        assert held_by(child.pid) - before < count * kibibytes * 1024
        honest.close()


def test_a_handshake_has_its_time_from_when_it_came() -> None:
    with Server(f"{TCP}?reliable=1", Told(), handshake_timeout=0.3) as server, contextlib.ExitStack() as open_ones:
        for stranger in [open_ones.enter_context(raw(server.port())) for _ in range(40)]:
            assert read_until_end(stranger) == b""


def test_who_leaves_before_he_was_believed_is_let_go_at_once(strangers: Callable[[int], Stranger]) -> None:
    with Server(f"{TCP}?reliable=1&dead_after=60", Told(), handshake_timeout=60.0) as server:
        stranger = strangers(server.port())
        stranger.say(offer(7).hello())
        assert stranger.hear(wire.WELCOME)
        stranger.say(full.control(wire.BYE, 7))
        wait_until(lambda: not server._opening)


def test_sessions_that_made_room_are_kept_for_nothing(strangers: Callable[[int], Stranger]) -> None:
    with Server(f"{TCP}?reliable=1&max_connections=2", handshake_timeout=60.0) as server:
        for epoch in range(1, 8):
            stranger = strangers(server.port())
            stranger.say(offer(epoch).hello())
            assert stranger.hear(wire.WELCOME)
            stranger.close()
            wait_until(lambda: not server._opening)
        gc.collect()
        sessions = [one for one in gc.get_objects() if isinstance(one, SessionStage) and one.entity is server]
        assert len(sessions) <= 2


# Reasons --------------------------------------------------------------------------------------------------------------


class Told(Callback):
    """Notes what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder = Recorder()

    def on_fail(self, service: Service, error: Exception) -> None:
        self.recorder.note("fail", error)


REASONS = [
    ("reliable=1", KEY, "reliable=1", b"another of sixteen", "another key", "another key"),
    ("reliable=1", KEY, "reliable=1", None, "no key", "this side has none"),
    ("reliable=1", None, "reliable=1", KEY, "this side has none", "the peer has none"),
    ("reliable=1", None, "reliable=1&crc=crc-ccitt-false", None, "crc=crc-ccitt-false", "looks like framing=cobs"),
    ("reliable=1&framing=length", None, "reliable=1", None, "framing=cobs", "framing=length"),
    ("", None, "reliable=1", None, "reliable=1", "reliable=1"),
    ("framing=cobs", None, "reliable=1", None, "reliable=1", "reliable=1"),
    ("reliable=1", None, "", None, "reliable=1", "reliable=1"),
    ("reliable=1", None, "framing=cobs", None, "reliable=1", "reliable=1"),
    ("", KEY, "", b"another of sixteen", "same key", "another key"),
    ("", KEY, "", None, "same key", "same key"),
    ("", None, "", KEY, "same key", "same key"),
    ("", KEY, "reliable=1", KEY, "reliable=1", "reliable=1"),
    ("reliable=1", KEY, "", KEY, "reliable=1", "reliable=1"),
]


@pytest.mark.parametrize(("ours", "our_key", "theirs", "their_key", "server_says", "client_says"), REASONS)
def test_both_sides_are_told_what_does_not_fit(
    ours: str, our_key: bytes | None, theirs: str, their_key: bytes | None, server_says: str, client_says: str
) -> None:
    at_server, at_client = Told(), Told()
    with Server(f"{TCP}?{ours}", at_server, key=our_key, handshake_timeout=0.6) as server:
        place = f"tcp://127.0.0.1:{server.port()}?{theirs}"
        client = Client(place, at_client, reconnect=False, connect_timeout=0.8, key=their_key)
        client._handshake_timeout = 0.8
        with client:
            with contextlib.suppress(OSError):
                client.send(b"hello")
            wait_until(lambda: any(client_says in str(error) for error in at_client.recorder.of("fail")))
        wait_until(lambda: any(server_says in str(error) for error in at_server.recorder.of("fail")))
        try:
            connection = connect(place, connect_timeout=0.8, key=their_key)
        except OSError as error:
            assert client_says in str(error) or "same key" in str(error)  # noqa: PT017 - a plain one opens
        else:
            connection.close()


def test_a_damaged_hello_is_called_one(strangers: Callable[[int], Stranger]) -> None:
    """As the line damaged it, below the CRC of its frame, and as a program wrote it wrongly."""
    heard = Recorder()
    hello = offer(7).hello()
    with Server(f"{TCP}?reliable=1", heard, **QUICK) as server:
        strangers(server.port()).say(hello[:-1] + bytes([hello[-1] ^ 1]))
        frame = bytearray(CobsFraming().encode(hello))
        frame[-3] ^= 1
        strangers(server.port()).socket.sendall(frame)
        for error in heard.wait("fail", 2):
            assert "asks for a session by a HELLO that was damaged or cut off" in str(error)


@pytest.mark.parametrize("kind", ["server", "node"])
def test_a_repeated_hello_is_called_one(kind: str, strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    if kind == "server":
        service: Server | Node = Server(f"{TCP}?reliable=1", heard, **QUICK)
    else:
        service = Node("base", listen=[TCP], callback=heard, **QUICK)
    with service:
        greet(peer := strangers(service.port()), 7, "arm")
        heard.wait("connect")
        strangers(service.port()).say(offer(7, "arm").hello())
        assert "repeats the HELLO of a peer that has a session" in str(heard.wait("fail")[0])
        peer.say(full.data(lane_number(4), 7, 0, b"\x0astill here"))
        assert heard.wait("receive") == [b"still here"]


def test_another_version_and_an_unknown_profile_are_named_to_both(strangers: Callable[[int], Stranger]) -> None:
    heard = Recorder()
    with Server(f"{TCP}?reliable=1", heard, **QUICK) as server:
        for hello, text in ((Handshake(1, version=9).hello(), "version 9"), (Handshake(1, profiles=8).hello(), "(8)")):
            stranger = strangers(server.port())
            stranger.say(hello)
            refusal = Refusal.decode(stranger.hear(wire.REFUSE)[1:])
            assert refusal is not None
            assert refusal.value == (FULL | COMPACT if refusal.reason == OTHER_PROFILE else 1)
            stranger.close()
            wait_until(lambda text=text: any(text in str(error) for error in heard.of("fail")))


def test_a_hint_is_said_now_and_then(strangers: Callable[[int], Stranger]) -> None:
    with Server(f"{TCP}?reliable=1", Told(), key=KEY, **QUICK) as server:
        stranger = strangers(server.port())
        for _ in range(50):
            stranger.say(offer(1).hello())
        assert len(stranger.framing.feed(read_until_end(stranger.socket))) <= 3


# Somebody who lost his line -----------------------------------------------------------------------------------------


def test_who_lost_his_line_before_he_was_believed_comes_back(strangers: Callable[[int], Stranger]) -> None:
    """He has heard that his session has begun, and may have sent something: it is not to be lost with the line."""
    heard = Recorder()
    with Server(f"{TCP}?reliable=1", heard) as server:
        first = strangers(server.port())
        first.say(offer(7).hello())
        said = Handshake.decode(first.hear(wire.WELCOME)[1:])
        assert said is not None
        first.close()
        again = strangers(server.port())
        again.say(offer(7).hello(echo=said.epoch))
        welcome = Handshake.decode(again.hear(wire.WELCOME)[1:])
        assert welcome is not None
        assert (welcome.epoch, welcome.echo) == (said.epoch, 7)
        again.say(full.data(lane_number(4), 7, 0, b"\x03abc"))
        assert heard.wait("receive") == [b"abc"]


def test_who_was_not_believed_and_does_not_come_back_is_forgotten(strangers: Callable[[int], Stranger]) -> None:
    with Server(f"{TCP}?reliable=1", Recorder(), handshake_timeout=0.2) as server:
        first = strangers(server.port())
        first.say(offer(7).hello())
        said = Handshake.decode(first.hear(wire.WELCOME)[1:])
        assert said is not None
        first.close()
        sessions = server._acceptor._join.__self__
        wait_until(lambda: not sessions._registry._stages)
        again = strangers(server.port())
        again.say(offer(7).hello(echo=said.epoch))
        assert again.hear(wire.REFUSE)
