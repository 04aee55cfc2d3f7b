"""Endpoints: URLs read and written, the table of schemes, connect and listen."""

from __future__ import annotations

import socket
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm import (
    Callback,
    Client,
    CommTimeout,
    ConnectionBase,
    Endpoint,
    EndpointError,
    LocalProtocolError,
    Scheme,
    Server,
    connect,
    listen,
    register_scheme,
)
from leadscomm.connections import endpoint as module
from leadscomm.connections.options import Option, count
from tests.connections.transports import Later, accepted, listening


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (16900, "tcp://127.0.0.1:16900"),
        ("16900", "tcp://127.0.0.1:16900"),
        ("tcp://example.org", "tcp://example.org:16900"),
        ("tcp://:5000", "tcp://127.0.0.1:5000"),
        ("tcp://[::1]:5000/", "tcp://[::1]:5000"),
        ("tls://host:1?ca=/etc/ca.pem", "tls://host:1?ca=/etc/ca.pem"),
        ("udp://0.0.0.0:0?silence=2.5&hold=1", "udp://0.0.0.0:0?silence=2.5&hold=1"),
        ("unix:///run/arm.sock?mode=666", "unix:///run/arm.sock?mode=666"),
        ("unix:///a%20b%3Fc%25", "unix:///a b%3Fc%25"),
        ("serial:///dev/ttyACM0?baud=115200", "serial:///dev/ttyACM0?baud=115200"),
        ("serial://COM3", "serial://COM3"),
        ("serial://auto?identity=WSC", "serial://auto?identity=WSC"),
        ("serial://socket://host:7000?logging=debug", "serial://socket://host:7000?logging=debug"),
        ("loop://arm?spin=0.001", "loop://arm?spin=0.001"),
        ("tcp://h:1?framing=cobs&crc=crc-ccitt-false", "tcp://h:1?framing=cobs&crc=crc-ccitt-false"),
        ("tcp://h:1?reconnect=true&nodelay=off", "tcp://h:1?reconnect=1&nodelay=0"),
        ("tcp://h:1?outbox=8M&max_message=64K", "tcp://h:1?outbox=8388608&max_message=65536"),
        ("tcp://h:1?separator=%0D%0A", "tcp://h:1?separator=%0D%0A"),
    ],
)
def test_a_url_is_read_and_written_and_read_again(text, written):
    parsed = Endpoint.parse(text)
    assert str(parsed) == repr(parsed) == written
    assert Endpoint.parse(written) == parsed
    assert Endpoint.parse(parsed) == parsed
    assert hash(Endpoint.parse(written)) == hash(parsed)


@pytest.mark.parametrize("separator", [b"\r\n", b"\\", b"\xff\x00", b"%&=+ ", b";"])
def test_a_separator_of_any_bytes_survives_being_written(separator):
    parsed = Endpoint.parse(1, separator=separator)
    again = Endpoint.parse(str(parsed))
    assert again.framing == parsed.framing
    assert again.framing.make().separator == separator  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("tcp://h:1?separator=+", {}),
        ("tcp://h:1?key_file=/c++/a+b.key&name=a+b", {"reliable": True}),
        ("unix:///run/c++.sock", {}),
        ("serial://socket://host:1?word=a+b%26%3D", {}),
        ("tcp://h:1", {"spin": 0.123456789, "send_timeout": 1e-7, "connect_timeout": 123456789.25}),
        ("tcp://h:1", {"key_file": "/tmp/\udcff.key"}),
        ("unix:///tmp/%FF.sock", {}),
        ("tcp://h:1", {"name": "100 % & # ? = ü", "reliable": 1}),
    ],
)
def test_what_is_special_in_urls_survives(text, options):
    parsed = Endpoint.parse(text, **options)
    again = Endpoint.parse(str(parsed))
    assert again == parsed
    assert again.options == parsed.options


def test_a_plus_is_a_plus():
    """Endpoints are no HTML forms."""
    assert dict(Endpoint.parse("tcp://:1?separator=+").framing.options) == {"separator": b"+"}
    assert dict(Endpoint.parse("tcp://:1?separator=%2B%20").framing.options) == {"separator": b"+ "}
    assert Endpoint.parse("tcp://:1?key_file=a+b%2Bc").options["key_file"] == "a+b+c"


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_VALUES = {
    "spin": st.floats(0, 1e8),
    "outbox": st.integers(1, 1 << 60),
    "key_file": _TEXTS | st.binary(min_size=1, max_size=9).map(lambda name: name.decode("utf-8", "surrogateescape")),
    "overflow": st.sampled_from(["block", "drop_oldest", "drop_newest", "disconnect"]),
    "reconnect": st.booleans(),
    "separator": st.binary(min_size=1, max_size=5),
    "max_message": st.integers(1, 1 << 40),
}


@given(st.fixed_dictionaries({}, optional=_VALUES), st.text(st.characters(codec="utf-8", exclude_characters=":")))
def test_whatever_is_given_survives_being_written(options, path):
    for parsed in (Endpoint.parse("tcp://host:5", **options), Endpoint.parse("loop://" + quote(path), **options)):
        again = Endpoint.parse(str(parsed))
        assert again == parsed
        assert again.options == parsed.options
        assert again.framing == parsed.framing


def test_an_endpoint_can_be_used_in_text():
    parsed = Endpoint.parse("loop://arm")
    assert "at " + parsed == "at loop://arm"
    assert parsed + "?spin=1" == "loop://arm?spin=1"
    assert f"{parsed:>12}|" == "  loop://arm|"
    for other in (1, b"x", None):
        with pytest.raises(TypeError):
            parsed + other  # type: ignore[operator]
        with pytest.raises(TypeError):
            other + parsed  # type: ignore[operator]


# What cannot carry what it is given ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["xonxoff=1", "bytesize=7", "bytesize=6", "bytesize=5", "bytesize=7&xonxoff=1"])
@pytest.mark.parametrize(
    "how", ["framing=length", "framing=cobs", "framing=board", "reliable=1", "key_file=x", "reliable=1&framing=length"]
)
def test_a_line_that_does_not_carry_every_byte_takes_nothing_that_needs_them(line, how):
    mend = "use rtscts=1 instead, or framing=separator" if line == "xonxoff=1" else "use bytesize=8, or framing="
    with pytest.raises(EndpointError, match=mend):
        Endpoint.parse(f"serial:///dev/x?{line}&{how}")
    words = dict(word.split("=") for word in f"{line}&{how}".split("&"))
    with pytest.raises(EndpointError, match=mend):
        Endpoint.parse("serial:///dev/x", **words)
    with pytest.raises(EndpointError, match=mend):
        Server("serial:///dev/x", Callback(), **words)
    with pytest.raises(EndpointError, match=mend):
        Client(f"fault://drop=0.1/serial:///dev/x?{line}&{how}", Callback())


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("serial:///dev/x?xonxoff=1&separator=%13", r"separator b'\\x13' holds such a byte"),
        ("serial:///dev/x?bytesize=7&separator=%5Cxff", r"separator b'\\xff' holds such a byte"),
        ("serial:///dev/x?bytesize=5", r"no byte above 0x1f, and the separator b';' holds"),
        ("serial:///dev/x?bytesize=6&identity=WSC", "asked for their identity in ASCII: use bytesize=8"),
        ("serial:///dev/x?rs485=1&rtscts=1", "use one of them"),
        ("serial:///dev/x?framing=datagram", "is a stream that has none: use framing=length"),
        ("tcp://h:1?framing=datagram", "is a stream that has none: use framing=length"),
        ("tcp://h:1?framing=datagram&reliable=1", "is a stream that has none"),
        ("tls://h:1?framing=datagram", "is a stream that has none"),
        ("unix:///x?framing=datagram", "is a stream that has none"),
        ("tls://h:1?cert_key=x", "give cert= too"),
        ("tcp://h:1?reconnect_min=5&reconnect_max=1", "make it the shorter one"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text, mend):
    with pytest.raises(EndpointError, match=mend):
        Endpoint.parse(text)


def test_a_narrow_line_takes_text_and_refuses_at_send_what_it_does_not_carry():
    framing = Endpoint.parse("serial:///dev/x?xonxoff=1").framing.make()
    framing.check(bytes(set(range(256)) - {0x11, 0x13, 0x3B}))
    with pytest.raises(LocalProtocolError, match=r"holds 0x13 at byte 2, which the line does not carry"):
        framing.check(b"ab\x13")
    lines = Endpoint.parse("serial:///dev/x?bytesize=7&framing=line").framing.make()
    lines.check(bytes(range(11, 128)))
    with pytest.raises(LocalProtocolError, match="holds 0xc3 at byte 1"):
        lines.check("gü".encode())
    assert Endpoint.parse("serial:///dev/x?bytesize=7").framing.make().farewell == b"disconnect"
    assert Endpoint.parse("serial:///dev/x?bytesize=6").framing.make().farewell is None
    assert Endpoint.parse("serial:///dev/x?bytesize=8&xonxoff=0&framing=cobs").framing.lost == b""


def test_options_have_their_defaults():
    parsed = Endpoint.parse("tcp://host")
    assert parsed.options["max_connections"] == 256
    assert parsed.options["max_per_address"] == 32
    assert parsed.options["outbox"] == 8 << 20
    assert parsed.options["send_timeout"] == parsed.options["connect_timeout"] == 5
    assert parsed.framing.name == "separator"
    assert Endpoint.parse("udp://host").framing.name == "datagram"


def test_keywords_come_before_the_url_and_none_is_not_given():
    parsed = Endpoint.parse("tcp://host:1?spin=1&send_timeout=2", spin=3, host="other", max_connections=None)
    assert (parsed.host, parsed.options["spin"], parsed.options["send_timeout"]) == ("other", 3, 2)
    assert Endpoint.parse(parsed, spin=4).options["spin"] == 4
    assert Endpoint.parse(parsed, host="third").host == "third"


def test_udp_takes_a_separator_only_where_it_is_asked_for():
    assert Endpoint.parse("udp://host?framing=separator").framing.name == "separator"
    assert Endpoint.parse("udp://host", separator=b"|").framing.name == "separator"


def test_another_host_or_port():
    parsed = Endpoint.parse("tcp://host:1?spin=1")
    assert str(parsed.at(port=2)) == "tcp://host:2?spin=1"
    assert str(parsed.at(host="::1")) == "tcp://[::1]:1?spin=1"
    assert parsed.at(port=2).notes is parsed.notes is Endpoint.parse(parsed).notes


@pytest.mark.parametrize(
    ("text", "options", "mend"),
    [
        ("host", {}, "write a URL such as tcp://127.0.0.1:16900"),
        ("", {}, "write a URL such as tcp://127.0.0.1:16900"),
        ("host:16900", {}, r"did you mean tcp://host:16900\?$"),
        ("127.0.0.1", {}, r"did you mean tcp://127.0.0.1\?$"),
        ("[::1]:16900", {}, r"did you mean tcp://\[::1\]:16900\?$"),
        ("udp:16900", {}, r"did you mean udp://:16900\?$"),
        ("/dev/ttyACM0", {}, r"did you mean serial:///dev/ttyACM0\?$"),
        ("ttyACM0", {}, r"did you mean serial:///dev/ttyACM0\?$"),
        ("COM3", {}, r"did you mean serial://COM3\?$"),
        ("serial:auto", {}, r"did you mean serial://auto\?$"),
        ("unix:/run/arm.sock", {}, r"did you mean unix:///run/arm.sock\?$"),
        ("http://host", {}, "there are fault://, loop://, serial://, tcp://, tls://, udp://, unix://"),
        (None, {}, "a URL or a port number, not NoneType"),
        (True, {}, "not bool"),
        (1.5, {}, "not float"),
        (70000, {}, "write tcp://host:port"),
        ("tcp://host:port", {}, "write tcp://host:port"),
        ("tcp://[::1:5", {}, "an IPv6 address in brackets"),
        ("tcp://user:word@host", {}, "no name or password: use key_file= or key_env="),
        ("tcp://host/path", {}, "host and port alone"),
        ("tcp://host#part", {}, "host and port alone"),
        ("tcp://host?baud=9600", {}, "tcp:// has no option 'baud'; it has .*keepalive.*user_timeout"),
        ("serial:///dev/x?buad=9600", {}, r"no option 'buad'; did you mean baud\? it has .*baud"),
        ("tpc://host", {}, r"did you mean tcp://\? there are fault://, loop"),
        ("TCP://host", {}, r"did you mean tcp://\?"),
        ("falt://drop=1/tcp://host", {}, r"did you mean fault://\?"),
        ("tcp:/host:80", {}, r"did you mean tcp://host:80\?$"),
        ("serail:/dev/ttyACM0", {}, r"did you mean serial:///dev/ttyACM0\?$"),
        ("tcp://host", {"reconect": False}, r"no option 'reconect'; did you mean reconnect\?"),
        ("tcp://host", {"colour": 1}, "no option 'colour'; it has"),
        ("udp://host?key_file=x", {}, "in a session alone"),
        ("tcp://host?spin=1&spin=2", {}, "gives spin twice"),
        ("tcp://host?key=secret", {}, "does not belong in a URL.*key_file= or key_env="),
        ("tcp://host?spin=fast", {}, r"spin='fast' cannot be right \(seconds to poll.*: write seconds"),
        ("tcp://host?overflow=explode", {}, "write block, drop_oldest, drop_newest or disconnect"),
        ("tcp://host?framing=morse", {}, "no framing is called 'morse'; the known ones are"),
        ("tcp://host?framing=cosb", {}, r"'cosb'; did you mean cobs\? the known ones are"),
        ("tcp://host?max_message=-1", {}, "max_message: '-1' is no number of bytes"),
        ("tcp://host", {"key": b"x" * 16, "key_env": "A"}, "key= and key_env= are given, and one key is wanted"),
        ("tcp://host?crc=crc-8", {}, "has no option 'crc'"),
        ("tcp://host?framing=cobs&separator=x", {}, "has no option 'separator'"),
        ("tcp://host", {"key": "text"}, r"^key cannot be right \(.*\): write bytes, and not str"),
        ("serial:///dev/x?bytesize=9", {}, "write 5, 6, 7 or 8"),
    ],
)
def test_what_cannot_be_an_endpoint_says_what_can(text, options, mend):
    with pytest.raises(EndpointError, match=mend):
        Endpoint.parse(text, **options)


def test_a_key_is_never_shown():
    parsed = Endpoint.parse("tcp://host:1", key=b"0123456789abcdef")
    assert str(parsed) == repr(parsed) == "tcp://host:1"
    with pytest.raises(EndpointError) as told:
        Endpoint.parse("tcp://host:1", key="a text is no key")
    assert "a text is no key" not in str(told.value)
    assert parsed.key() == b"0123456789abcdef"


def test_whether_others_can_reach_it():
    assert Endpoint.parse("tcp://0.0.0.0:1").exposed()
    assert Endpoint.parse("udp://[::]:1").exposed()
    assert Endpoint.parse("tcp://example.org").exposed()
    assert not Endpoint.parse("tcp://0.0.0.0:1?key_env=KEY").exposed()
    assert not Endpoint.parse("tls://0.0.0.0:1").exposed()
    assert not Endpoint.parse("unix:///x").exposed()
    for host in ("127.0.0.1", "127.3.2.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        assert not Endpoint.parse(f"tcp://{host}:1").exposed(), host


# Keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("0123456789abcdef\n")
    monkeypatch.setenv("LEADSCOMM_TEST_KEY", "fedcba9876543210")
    assert Endpoint.parse(f"tcp://h?key_file={tmp_path}/key").key() == b"0123456789abcdef"
    assert Endpoint.parse("tcp://h?key_env=LEADSCOMM_TEST_KEY").key() == b"fedcba9876543210"
    assert Endpoint.parse("tcp://h").key() is None


@pytest.mark.parametrize(
    "content",
    [
        b"0123456789abcdef\r\n",
        b"\xef\xbb\xbf0123456789abcdef\r\n",
        "\ufeff0123456789abcdef\r\n".encode("utf-16-le"),
        "\ufeff0123456789abcdef\n".encode("utf-16-be"),
        "\ufeff0123456789abcdef".encode("utf-32-le"),
        "\ufeff0123456789abcdef".encode("utf-32-be"),
    ],
)
def test_a_key_file_that_notepad_or_powershell_wrote(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    assert Endpoint.parse("tcp://h", key_file=str(tmp_path / "key")).key() == b"0123456789abcdef"


@pytest.mark.parametrize(
    "key", [b"\xef\xbb\xbf" + b"\xff" * 16, b"\xff\xfe" + bytes(range(20)), b"\xfe\xff" + b"\xd8" * 17]
)
def test_a_key_of_any_bytes_may_begin_as_a_mark_does(tmp_path, key):
    (tmp_path / "key").write_bytes(key)
    assert Endpoint.parse("tcp://h", key_file=str(tmp_path / "key")).key() == key


@pytest.mark.parametrize("value", ["0123456789abcdef\r", "\ufeff0123456789abcdef"])
def test_a_key_of_the_environment_that_windows_wrote(monkeypatch, value):
    monkeypatch.setenv("LEADSCOMM_TEST_KEY", value)
    assert Endpoint.parse("tcp://h", key_env="LEADSCOMM_TEST_KEY").key() == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"key": b"short"}, "a key of 5 bytes is too short; use 16 or more, such as `openssl rand -hex 32`"),
        ({"key_file": "/nowhere/key"}, "key_file=/nowhere/key cannot be read: No such file"),
        ({"key_env": "LEADSCOMM_NO_KEY"}, "there is no environment variable LEADSCOMM_NO_KEY"),
    ],
)
def test_a_key_that_cannot_be_used(options, mend):
    with pytest.raises(EndpointError, match=mend):
        Endpoint.parse(1, **options).key()


# Schemes of one's own ------------------------------------------------------------------------------------------------


class Pipe(ConnectionBase):
    """A transport of a user's: one half of a socket pair."""

    def __init__(self, sock: socket.socket, address: Endpoint) -> None:
        super().__init__(framing=address.framing.make())
        self.sock = sock

    def fileno(self) -> int:
        return self.sock.fileno()

    def _read(self) -> bytes | None:
        return self.sock.recv(100) or None

    def _write(self, data: bytes | memoryview) -> int:
        return self.sock.send(data)

    def _close(self) -> None:
        self.sock.close()


@pytest.fixture
def own_scheme(monkeypatch):
    monkeypatch.setattr(module, "SCHEMES", dict(module.SCHEMES))
    halves = socket.socketpair()
    options = {"speed": Option(1, count, "how fast")}
    register_scheme(
        "pipe", Scheme(lambda address, deadline: Pipe(halves[0], address), None, "line", options, place="path")
    )
    yield halves[1]
    for half in halves:
        half.close()


def test_a_scheme_of_ones_own(own_scheme):
    connection = connect("pipe://anything?speed=3")
    connection.send(b"hello")
    assert own_scheme.recv(100) == b"hello\n"
    own_scheme.sendall(b"one\ntwo\n")
    assert [connection.receive(), connection.receive()] == [b"one", b"two"]
    own_scheme.close()
    assert connection.receive() is None
    connection.close()


def test_a_scheme_that_can_only_be_dialled(own_scheme):
    with pytest.raises(EndpointError, match="pipe:// can only be dialled; start a client on it"):
        listen("pipe://anything")


@pytest.mark.parametrize("name", ["Pipe", "a-b", ""])
def test_a_scheme_needs_a_plain_name(name):
    with pytest.raises(EndpointError, match="use lower-case letters"):
        register_scheme(name, Scheme(connect="nowhere:at_all"))


# connect -------------------------------------------------------------------------------------------------------------


def test_options_of_connect_reach_the_connection():
    with listening("tcp://127.0.0.1:0") as listener:
        waiting = Later(accepted, listener)
        client = connect(listener.port(), send_timeout=1.5)
        assert client.outbox.timeout == 1.5
        server = waiting.result()
        client.abort()
        client.close()
        server.close()


def test_what_fails_after_the_connecting_is_closed():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(CommTimeout, match="did not send the key challenge in time; give both sides the same key"):
            connect(silent.getsockname()[1], key=b"0123456789abcdef", connect_timeout=0.1)
        with silent.accept()[0] as sock:
            assert len(sock.recv(100)) == 36
            assert sock.recv(100) == b""
