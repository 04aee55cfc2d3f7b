"""Serial lines over pseudo-terminals: opening, what is said when that fails, vanishing and coming back."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import termios
from collections.abc import Callable, Iterator

import pytest
import serial
from serial import SerialException, rfc2217

from leadscomm import (
    CommTimeout,
    ConnectFailed,
    ConnectionLost,
    EndpointError,
    SerialConnection,
    connect,
    create_client,
    create_server,
    listen,
)
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.serial import connection as module
from leadscomm.connections.serial import ports
from leadscomm.connections.serial.handle import DescriptorLine
from leadscomm.connections.serial.ports import Port
from tests.connections.cable import Board, Cable
from tests.connections.transports import Later
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals: a Unix system")


@pytest.fixture
def plugged(monkeypatch) -> list[Port]:
    """The ports of this machine, as the test says."""
    there: list[Port] = []
    monkeypatch.setattr(ports, "available_ports", lambda: list(there))
    return there


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as board:
        yield board


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Cable() as cable:
        yield cable


def arduino(device: str, serial_number: str = "95333", location: str = "1-1:1.0") -> Port:
    return Port(device, "Arduino Uno", 0x2341, 0x43, serial_number, "Arduino", location)


# The connection ------------------------------------------------------------------------------------------------------


def test_leads_arguments_of_a_connection(cable: Cable):
    port = serial.Serial(cable.a)
    connection = SerialConnection(port, b"one|tw", b"|")
    assert (str(connection), connection.closed(), connection._origin) == (cable.a, False, None)
    other = connect(f"serial://{cable.b}?separator=|")
    other.send(b"o")
    assert [connection.receive(PATIENCE_S), connection.receive(PATIENCE_S)] == [b"one", b"two"]
    other.abort()
    other.close()
    connection.close()
    assert connection.closed()
    assert not port.is_open


def test_a_port_may_be_opened_later_but_must_be(cable: Cable):
    port = serial.Serial()
    port.port = cable.a
    connection = SerialConnection(port)
    assert connection.closed()
    assert connection.fileno() is None
    with pytest.raises(ConnectionLost, match=f"{cable.a} is not open"):
        connection.send(b"x")
    connection.abort()
    connection.shut_sending()
    connection.close()
    port.open()
    connection = SerialConnection(port)
    other = SerialConnection(serial.Serial(cable.b))
    other.send(b"here")
    assert connection.receive(PATIENCE_S) == b"here"
    for each in (connection, other):
        each.abort()
        each.close()


def test_suspect_and_trust(cable: Cable):
    connection = SerialConnection(serial.Serial(cable.a))
    assert connection.suspect() is connection
    assert connection.patience == 1
    assert connection.suspect(2).patience == 2
    assert connection.trust() is connection
    assert connection.patience is None
    connection.abort()
    connection.close()


def test_a_line_is_read_by_its_descriptor(cable: Cable):
    connection = connect(f"serial://{cable.a}")
    assert isinstance(connection._line, DescriptorLine)
    assert os.ttyname(connection.fileno()) == os.path.realpath(cable.a)
    connection.abort()
    connection.close()
    assert connection.fileno() is None


def test_systems_that_cannot_poll_terminals(cable: Cable, monkeypatch):
    first, second = connect(f"serial://{cable.a}"), connect(f"serial://{cable.b}")
    monkeypatch.setattr("leadscomm.connections.serial.handle.sys.platform", "darwin")
    sending = Later(first.send, b"x" * 100_000)
    got = second.receive(PATIENCE_S)
    sending.result()
    receiving = Later(second.receive)
    second.abort()
    assert receiving.result() is None
    monkeypatch.undo()
    assert got == b"x" * 100_000
    for each in (first, second):
        each.abort()
        each.close()


def test_settings_reach_the_port(cable: Cable):
    connection = connect(
        f"serial://{cable.a}?baud=115200&bytesize=7&parity=E&stopbits=2&rtscts=1&xonxoff=1&dsrdtr=1&dtr=off&rts=off"
    )
    port = connection._serial
    assert (port.baudrate, port.bytesize, port.parity, port.stopbits) == (115200, 7, "E", 2)
    assert (port.rtscts, port.xonxoff, port.dsrdtr, port.dtr, port.rts) == (True, True, True, False, False)
    assert port.exclusive
    assert termios.tcgetattr(connection.fileno())[4] == termios.B115200
    connection.abort()
    connection.close()


@pytest.mark.parametrize(("policy", "hangs_up"), [("on", True), ("off", True), ("keep", False)])
def test_lines_are_kept_where_that_is_asked_for(cable: Cable, policy: str, hangs_up: bool):
    fd = os.open(cable.a, os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(fd)
    settings[2] |= termios.HUPCL
    termios.tcsetattr(fd, termios.TCSANOW, settings)
    os.close(fd)
    connection = connect(f"serial://{cable.a}?dtr={policy}")
    assert bool(termios.tcgetattr(connection.fileno())[2] & termios.HUPCL) is hangs_up
    assert connection._serial.dtr is (policy != "off")
    connection.abort()
    connection.close()


@pytest.mark.parametrize(("exclusive", "device", "asked"), [(1, "/dev/ttyUSB0", 1), (0, "/dev/ttyUSB0", 0), (1, "", 0)])
def test_others_are_kept_out_of_a_real_port(cable: Cable, monkeypatch, exclusive, device, asked):
    import fcntl

    requests = []
    ioctl = fcntl.ioctl
    monkeypatch.setattr(
        fcntl, "ioctl", lambda fd, request, *rest: requests.append(request) or ioctl(fd, request, *rest)
    )
    if device:
        monkeypatch.setattr(ports.os, "ttyname", lambda fd: device)
    connection = connect(f"serial://{cable.a}?exclusive={exclusive}")
    if asked:
        ioctl(connection.fileno(), termios.TIOCNXCL)
    connection.abort()
    connection.close()
    assert requests.count(termios.TIOCEXCL) == asked


def test_a_port_that_cannot_be_settled_is_closed(cable: Cable, monkeypatch):
    def interrupted(port: object, options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ports, "_settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connect(f"serial://{cable.a}")


# What is said when a port cannot be opened ---------------------------------------------------------------------------


def test_no_such_port(plugged: list[Port]):
    with pytest.raises(
        ConnectFailed, match=r"there is no port /dev/nowhere; is the device plugged in\? There are: none"
    ):
        connect("serial:///dev/nowhere")
    plugged += [arduino("/dev/ttyACM7"), Port("/dev/ttyS9", "n/a")]
    with pytest.raises(ConnectFailed, match=r"Uno, USB 2341:0043, serial number 95333\), /dev/ttyS9$"):
        connect("serial:///dev/nowhere")


def test_a_port_in_use(cable: Cable):
    connection = connect(f"serial://{cable.a}")
    with pytest.raises(ConnectFailed, match=f"{cable.a} is in use by another program, or by this one; close it there"):
        connect(f"serial://{cable.a}")
    connection.abort()
    connection.close()


def test_what_is_no_port(tmp_path, plugged: list[Port]):
    (tmp_path / "file").write_text("")
    for path in (str(tmp_path / "file"), "/dev/null"):
        with pytest.raises(ConnectFailed, match=f"{path} is no serial port; there are: none"):
            connect(f"serial://{path}")


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (
            errno.EACCES,
            "no permission to open .*: it belongs to the group {group}. Run `sudo usermod -aG {group} .USER`",
        ),
        (errno.EBUSY, "is in use by another program"),
        (errno.EIO, r"has no device behind it \(unplugged, or never fitted\); there are: none"),
        (errno.ENXIO, "has no device behind it"),
        (errno.EMFILE, "cannot be opened: .*Too many open files"),
    ],
)
def test_what_the_system_says(cable: Cable, monkeypatch, plugged: list[Port], number: int, mend: str):
    import grp

    os.chmod(cable.a, 0o660)
    os.chown(cable.a, -1, os.getgroups()[-1] if os.getgroups() else os.getgid())
    owner = os.stat(cable.a).st_gid
    group = grp.getgrgid(owner).gr_name if owner else "dialout"

    def refuse(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("serial.serialposix.os.open", refuse)
    with pytest.raises(ConnectFailed) as caught:
        connect(f"serial://{cable.a}")
    monkeypatch.undo()
    assert caught.match(mend.format(group=group))


def test_the_group_of_a_port_is_named(monkeypatch, tmp_path):
    import grp

    os.chmod(tmp_path, 0o770)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("plugdev", "x", gid, [])))
    monkeypatch.setattr(ports.os, "stat", lambda path: os.stat_result((0o20660, 0, 0, 1, 0, 46, 0, 0, 0, 0)))
    assert "usermod -aG plugdev $USER" in ports._no_permission("/dev/ttyUSB0")
    monkeypatch.setattr(ports.os, "stat", lambda path: os.stat_result((0o20600, 0, 0, 1, 0, 46, 0, 0, 0, 0)))
    assert "usermod -aG dialout $USER" in ports._no_permission("/dev/ttyUSB0")


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("could not open port 'COM9': FileNotFoundError(2, 'not found')", "there is no port COM9"),
        ("could not open port 'COM3': PermissionError(13, 'denied')", "COM3 is in use by another program"),
        ("could not open port 'COM3': OSError(22, 'odd')", "COM3 cannot be opened: could not open port"),
    ],
)
def test_what_windows_says(monkeypatch, plugged: list[Port], text: str, mend: str):
    def refuse(self: serial.Serial) -> None:
        raise SerialException(text)

    monkeypatch.setattr(serial.Serial, "open", refuse)
    with pytest.raises(ConnectFailed, match=mend):
        connect(f"serial://COM{9 if 'COM9' in text else 3}")


@pytest.mark.parametrize(
    ("url", "options", "mend"),
    [
        ("serial://", {}, "wants a port, such as serial:///dev/ttyACM0 or serial://auto"),
        ("serial://auto", {}, "wants identity=TAG or usb_serial=NUMBER; there are: none"),
        ("serial:///dev/x?identity=A", {"key": b"0123456789abcdef"}, "identity and a key do not go together"),
        ("serial://nobody://x", {}, "invalid URL, protocol 'nobody' not known"),
        ("serial://hwgrep://NO SUCH PORT", {}, "cannot be right: no ports found matching"),
        ("serial://loop://?volume=11", {}, r"loop://\?volume=11 does not take these settings or options"),
    ],
)
def test_what_cannot_be_right(plugged: list[Port], url: str, options: dict, mend: str):
    for use in (connect, listen):
        if use is listen and "://" in url.removeprefix("serial://"):
            continue
        with pytest.raises(EndpointError, match=mend):
            use(url, **options)


def test_a_baud_rate_that_the_system_does_not_take(cable: Cable, monkeypatch):
    def refuse(self: serial.Serial, rate: int) -> None:
        raise ValueError(f"Failed to set custom baud rate ({rate})")

    monkeypatch.setattr(serial.Serial, "_set_special_baudrate", refuse)
    with pytest.raises(EndpointError, match=f"{cable.a} does not take these settings or options: .*baud rate .123457"):
        connect(f"serial://{cable.a}?baud=123457")


# Unplugged, and plugged in again -------------------------------------------------------------------------------------


def test_pulling_the_plug_is_told(board: Board):
    told = Recorder()
    with create_client(f"serial://{board.port}", told, reconnect=False):
        told.wait("connect")
        board.say_bytes(b"wss_lf:12.00;")
        assert told.wait("receive") == [b"wss_lf:12.00"]
        board.unplug()
        error = told.wait("fail")[0]
        assert isinstance(error, ConnectionLost)
        assert "unplugged" in str(error)
        told.wait("disconnect")


def test_a_device_that_reads_as_empty_was_hung_up(board: Board, monkeypatch):
    connection = connect(f"serial://{board.port}")
    line = connection._line
    assert isinstance(line, DescriptorLine)
    monkeypatch.setattr("leadscomm.connections.serial.handle.os.read", lambda fd, count: b"")
    monkeypatch.setattr(line, "_poll", lambda *args, **kwargs: True)
    with pytest.raises(ConnectionLost, match="it was unplugged, or its other end was closed"):
        connection._read()
    monkeypatch.undo()
    connection.abort()
    connection.close()


def test_a_device_comes_back_under_another_name(plugged: list[Port]):
    told = Recorder()
    first, stranger = Board(), Board()
    plugged += [arduino(first.port), arduino(stranger.port, "11111")]
    client = create_client(f"serial://{first.port}", told, reconnect=True, reconnect_min=0.01, reconnect_max=0.01)
    with client, stranger:
        told.wait("connect")
        first.unplug()
        told.wait("disconnect")
        plugged.pop(0)
        told.wait("fail", 2)
        with Board() as second:
            plugged.append(arduino(second.port))
            told.wait("reconnect")
            assert str(client.connection) == second.port
            client.send(b"hello")
            wait_until(lambda: second.heard == [b"hello"])
        assert not stranger.heard


def test_the_memory_is_of_one_client_alone(plugged: list[Port], board: Board):
    with Board() as other:
        plugged += [arduino(other.port, "1"), arduino(board.port, "2")]
        connection = connect(f"serial://{other.port}")
        connection.abort()
        connection.close()
        plugged[0] = arduino("/dev/elsewhere", "1")
        connection = connect(f"serial://{other.port}")  # by somebody else: the port that he names
        assert str(connection) == other.port
        connection.abort()
        connection.close()


def test_a_device_without_a_number_or_behind_a_link_is_opened_by_its_name(plugged: list[Port], board: Board, tmp_path):
    (tmp_path / "by-id").symlink_to(board.port)
    address = Endpoint.parse(f"serial://{tmp_path}/by-id")
    for number, known in ((None, None), ("95333", (0x2341, 0x43, "95333", "1.0"))):
        plugged[:] = [arduino(os.path.realpath(board.port), number)]
        connection = connect(address)
        connection.abort()
        connection.close()
        assert address.notes["usb"] == known
    plugged.clear()
    assert ports.locate(address) == address.path


def test_the_interfaces_of_one_device_are_told_apart(plugged: list[Port]):
    address = Endpoint.parse("serial:///dev/ttyUSB1")
    plugged += [arduino(f"/dev/ttyUSB{i}", "FT42", f"1-2:1.{i}") for i in range(4)]
    ports.remember(address, "/dev/ttyUSB1")
    plugged[:] = [arduino(f"/dev/ttyUSB{i + 5}", "FT42", f"3-1:1.{i}") for i in range(4)]
    assert ports.locate(address) == "/dev/ttyUSB6"


def test_a_device_by_its_usb_serial_number(plugged: list[Port], board: Board):
    with pytest.raises(ConnectFailed, match=r"no device has usb_serial=95333; is it plugged in\? There are: none"):
        connect("serial://auto?usb_serial=95333")
    plugged += [arduino("/dev/other", "2"), arduino(board.port)]
    for url in ("serial://auto?usb_serial=95333", f"serial://{board.port}?usb_serial=95333"):
        connection = connect(url)
        assert str(connection) == board.port
        connection.abort()
        connection.close()


# Devices that are alike: adapters of one make with one number --------------------------------------------------------


def test_of_devices_that_are_alike_the_path_that_was_asked_for_is_opened_again(plugged: list[Port], board: Board):
    with Board() as other:
        plugged += [arduino(other.port, "0001", "1-1:1.0"), arduino(board.port, "0001", "1-2:1.0")]
        address = Endpoint.parse(f"serial://{board.port}")
        for _ in range(3):
            connection = connect(address)
            assert str(connection) == board.port
            connection.abort()
            connection.close()
            plugged.reverse()


@pytest.mark.parametrize("url", ["serial://auto?usb_serial=0001", "serial:///dev/gone?usb_serial=0001"])
def test_a_number_that_several_have_is_refused_with_the_choices(plugged: list[Port], url: str):
    plugged += [arduino("/dev/a", "0001", "1-1:1.0"), arduino("/dev/b", "0001", "1-2:1.0"), arduino("/dev/c", "2")]
    with pytest.raises(ConnectFailed, match=r"2 devices have the USB serial number 0001.*/dev/a.*1-1.*/dev/b") as told:
        connect(url)
    assert "Name the port, such as serial:///dev/a" in str(told.value)
    assert "/dev/c" not in str(told.value)
    assert ports.locate(Endpoint.parse("serial:///dev/b?usb_serial=0001")) == "/dev/b"


def opened_before(plugged: list[Port], url: str, device: str) -> Endpoint:
    """Two that are alike are plugged in, and the one at 1-2 was open."""
    plugged[:] = [arduino("/dev/a", "0001", "1-1:1.0"), arduino("/dev/b", "0001", "1-2:1.0")]
    address = Endpoint.parse(url)
    ports.remember(address, device)
    return address


def test_the_socket_tells_which_of_those_that_are_alike_came_back(plugged: list[Port]):
    for url in ("serial:///dev/b", "serial:///dev/b?usb_serial=0001"):
        address = opened_before(plugged, url, "/dev/b")
        plugged[1:] = [arduino("/dev/x", "0001", "1-2:1.0")]
        assert ports.locate(address) == "/dev/x"
    by_tag = opened_before(plugged, "serial://auto?usb_serial=0001", "/dev/b")
    assert ports.locate(by_tag) == "/dev/b"


def test_the_other_one_is_not_taken_for_the_one_that_was_unplugged(plugged: list[Port]):
    address = opened_before(plugged, "serial:///dev/b", "/dev/b")
    del plugged[1]
    assert ports.locate(address) == "/dev/b"  # which is not there, and that is said
    named = opened_before(plugged, "serial:///dev/b?usb_serial=0001", "/dev/b")
    del plugged[1]
    with pytest.raises(ConnectFailed, match="/dev/b is not there, and another device has the USB serial number 0001"):
        ports.locate(named)
    plugged.append(arduino("/dev/x", "0001", "3-3:1.0"))
    with pytest.raises(ConnectFailed, match="/dev/b is not there, and 2 devices have"):
        ports.locate(address)


def test_a_board_is_named_by_its_whole_tag_where_another_begins_so(plugged: list[Port]):
    with Board(b"arm2") as other, Board(b"arm") as board:
        plugged += [Port(other.port), Port(board.port)]
        connection = connect("serial://auto?identity=ARM")
        assert str(connection) == board.port
        connection.abort()
        connection.close()
        with pytest.raises(ConnectFailed, match="2 boards answer to ar, on"):
            connect("serial://auto?identity=ar")


def test_the_ports_of_this_machine_can_be_listed(monkeypatch):
    from serial.tools import list_ports, list_ports_common

    found = list_ports_common.ListPortInfo("/dev/ttyACM10")
    found.vid, found.pid, found.serial_number, found.description = 1, 2, "3", "four"
    monkeypatch.setattr(list_ports, "comports", lambda: [found, list_ports_common.ListPortInfo("/dev/ttyACM9")])
    assert [str(port) for port in ports.available_ports()] == [
        "/dev/ttyACM9",
        "/dev/ttyACM10 (four, USB 0001:0002, serial number 3)",
    ]


# Asked who it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["WSC", "wsc", "Ws"])
def test_a_board_is_found_by_its_tag(plugged: list[Port], identity: str):
    with Board(b"pedal") as other, Board(b"wsc", deaf_to=1) as board, Board(b"", deaf_to=1000) as silent:
        plugged += [Port(each.port) for each in (silent, other, board)]
        connection = connect(f"serial://auto?identity={identity}")
        assert str(connection) == board.port
        board.say_bytes(b"wss_lf:12.00;")
        heard = connection.receive(PATIENCE_S)
        while heard == b"wsc":  # it was asked again before its answer had come
            heard = connection.receive(PATIENCE_S)
        assert heard == b"wss_lf:12.00"
        connection.close()
        assert b"disconnect" not in other.heard + silent.heard


def test_a_board_that_talks_already_is_asked_all_the_same(board: Board):
    board.say_bytes(b"wss_lf:1.00;wss_lf:2.00;")
    told = Recorder()
    with create_client(f"serial://{board.port}?identity=WSC", told):
        told.wait("connect")
        board.say_bytes(b"wss_lf:3.00;")
        assert b"wss_lf:3.00" in told.wait("receive")


def test_nobody_answers(plugged: list[Port], board: Board, cable: Cable, monkeypatch):
    with pytest.raises(
        ConnectFailed, match="no board answers with the tag ACCL: there is no free port; there are: none"
    ):
        connect("serial://auto?identity=ACCL")
    with Board(deaf_to=1000) as silent:
        taken = connect(f"serial://{cable.a}")
        plugged += [Port(board.port), Port(silent.port), Port(cable.a)]
        with pytest.raises(ConnectFailed) as caught:
            connect("serial://auto?identity=ACCL", timeout=0.3)
        taken.abort()
        taken.close()
    assert f"{board.port} said 'wsc'" in str(caught.value)
    assert f"{silent.port} said nothing" in str(caught.value)
    assert f"{cable.a} is in use" in str(caught.value)


def test_noise_is_no_answer_and_said_as_such(cable: Cable):
    other = serial.Serial(cable.b)
    connecting = Later(connect, f"serial://{cable.a}?identity=WSC&max_message=100", PATIENCE_S)
    wait_until(lambda: other.in_waiting)
    other.write(b"\xfe" * 200)
    with pytest.raises(ConnectFailed, match="sends noise, or is gone; is its baud rate another"):
        connecting.result()
    connecting = Later(connect, f"serial://{cable.a}?identity=WSC&framing=cobs", PATIENCE_S)
    other.reset_input_buffer()
    wait_until(lambda: other.in_waiting)
    other.write(b"\xfe" * 20 + b"\0")  # a bad frame, after which the next may be good
    from leadscomm.protocol.framing import CobsFraming

    other.write(CobsFraming().encode(b"wsc"))
    connection = connecting.result()
    connection.abort()
    connection.close()
    other.close()


def test_a_board_that_vanishes_while_it_is_asked(plugged: list[Port]):
    board = Board(deaf_to=1000)
    connecting = Later(connect, f"serial://{board.port}?identity=WSC", PATIENCE_S)
    wait_until(lambda: board.heard)
    board.unplug()
    with pytest.raises(ConnectFailed, match="sends noise, or is gone"):
        connecting.result()


# A server on a cable -------------------------------------------------------------------------------------------------


def test_a_server_waits_for_its_device_and_for_its_return(plugged: list[Port], tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)
    path = tmp_path / "port"
    heard = Recorder()
    with create_server(f"serial://{path}", heard) as server:
        assert server.port() == 0
        assert "is the device plugged in? There are: none. It is waited for" in str(heard.wait("fail")[0])
        for i in range(1, 3):
            with Cable() as cable:
                path.symlink_to(cable.a)
                heard.wait("connect", i)
                with create_client(f"serial://{cable.b}", Recorder()) as client:
                    client.send(b"%d" % i)
                    assert heard.wait("receive", i)[-1] == b"%d" % i
                    if i == 1:
                        path.unlink()
                        cable.pull()
                        wait_until(lambda: sum("waited for" in str(error) for error in heard.of("fail")) == 2)
            heard.wait("disconnect", i)


def test_a_trouble_is_told_once(plugged: list[Port], monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    looks = []
    locate = ports.locate
    monkeypatch.setattr(ports, "locate", lambda address: looks.append(1) or locate(address))
    heard = Recorder()
    with create_server("serial:///dev/nowhere", heard):
        heard.wait("fail")
        wait_until(lambda: len(looks) > 10)
        assert len(heard.of("fail")) == 1


def test_a_server_goes_on_with_the_next_conversation(cable: Cable):
    heard = Recorder(lambda service, message: service.sender.send(message))
    with create_server(f"serial://{cable.a}", heard):
        for i in range(1, 3):
            told = Recorder()
            heard.wait("connect", i)
            with create_client(f"serial://{cable.b}", told) as client:
                client.send(b"%d" % i)
                assert told.wait("receive") == [b"%d" % i]
            heard.wait("disconnect", i)


def test_a_goodbye_is_not_answered_on_a_cable(cable: Cable):
    """The answer would reach whoever opens the port next."""
    heard = Recorder()
    with create_server(f"serial://{cable.a}", heard):
        heard.wait("connect")
        other = SerialConnection(serial.Serial(cable.b))
        other.disconnect()
        heard.wait("connect", 2)
        with pytest.raises(CommTimeout):
            other.receive(0.05)
        other.abort()
        other.close()


def test_nor_by_a_connection_that_is_used_directly(cable: Cable):
    direct, other = SerialConnection(serial.Serial(cable.a)), SerialConnection(serial.Serial(cable.b))
    other.disconnect()
    assert direct.receive(PATIENCE_S) is None
    direct.close()
    with pytest.raises(CommTimeout):
        other.receive(0.05)
    other.abort()
    other.close()


def test_the_challenge_waits_for_the_other_side(cable: Cable):
    key = b"0123456789abcdef"
    heard, told = Recorder(), Recorder()
    with create_server(f"serial://{cable.a}", heard, key=key, handshake_timeout=0.05) as server:
        wait_until(lambda: server._acceptor.listener._taken)
        with pytest.raises(AssertionError):
            heard_something(heard)
        with create_client(f"serial://{cable.b}", told, key=key) as client:
            client.send(b"hello")
            assert heard.wait("receive") == [b"hello"]
    with create_server(f"serial://{cable.a}", heard, key=key) as server:
        wait_until(lambda: server._acceptor.listener._taken)  # closed while nobody has come
    assert heard.kinds().count("connect") == 1


def heard_something(heard: Recorder) -> None:
    with heard.changed:
        assert heard.changed.wait_for(lambda: heard.of("fail"), 0.2)


# RS-485 --------------------------------------------------------------------------------------------------------------


def test_half_duplex_by_the_program_where_the_driver_cannot(cable: Cable, monkeypatch):
    switched: list[bool] = []
    monkeypatch.setattr(serial.Serial, "_update_rts_state", lambda self: switched.append(self._rts_state))
    first, second = connect(f"serial://{cable.a}?rs485=1"), connect(f"serial://{cable.b}")
    switched.clear()
    sending = Later(first.send, b"x" * 3000)
    assert second.receive(PATIENCE_S) == b"x" * 3000
    sending.result()
    assert switched == [True, False] * 3
    second.send(b"answer")
    assert first.receive(PATIENCE_S) == b"answer"
    for each in (first, second):
        each.abort()
        each.close()
    monkeypatch.undo()
    first = connect(f"serial://{cable.a}?rs485=1")  # a pseudo-terminal has no RTS, and that is no reason to fail
    first.send(b"without")
    first.abort()
    first.close()


def test_half_duplex_by_the_driver(cable: Cable, monkeypatch):
    modes = []
    monkeypatch.setattr(serial.Serial, "_set_rs485_mode", lambda self, mode: modes.append(mode))
    connection = connect(f"serial://{cable.a}?rs485=1")
    assert isinstance(connection._line, DescriptorLine)
    assert len(modes) == 1
    connection.abort()
    connection.close()


# Through pyserial's handlers -----------------------------------------------------------------------------------------


def conversing(url: str, other: Callable[[bytes], bytes]) -> None:
    told = Recorder()
    with create_client(url, told) as client:
        told.wait("connect")
        client.send(b"hello" * 1000)
        assert told.wait("receive") == [other(b"hello" * 1000)]
        client.close()
        told.wait("disconnect")
    assert not told.of("fail")


def echo(cable: Cable):
    return create_server(f"serial://{cable.b}", Recorder(lambda s, m: s.sender.send(m[::-1])))


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # pyserial leaves the file to the collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_spy(cable: Cable, tmp_path):
    with echo(cable):
        conversing(f"serial://spy://{cable.a}?file={tmp_path}/log&baud=19200", lambda message: message[::-1])
    import gc

    gc.collect()
    log = (tmp_path / "log").read_text()
    assert "TX" in log
    assert "hello" in log
    assert "olleh" in log


class WithoutModemLines(serial.Serial):
    """A pseudo-terminal has none, and pyserial's bridge asks for them."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None: ...

    def _update_rts_state(self) -> None: ...


class Bridge:
    """Puts a port on the network as RFC 2217 says, by pyserial's own other half of it."""

    def __init__(self, device: str) -> None:
        self.port = WithoutModemLines(device, timeout=0)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self.listener.getsockname()[1]}"
        self._bridging = Later(self._run)

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self._bridging.result()
        self.port.close()

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def _run(self) -> None:
        with self.listener:
            self.sock = self.listener.accept()[0]
        manager = rfc2217.PortManager(self.port, self)
        with self.sock:
            while True:
                ready, _, _ = select.select([self.sock, self.port], [], [])
                if self.sock in ready:
                    data = self.sock.recv(4096)
                    if not data:
                        return
                    self.port.write(b"".join(manager.filter(data)))
                if self.port in ready:
                    self.write(b"".join(manager.escape(self.port.read(4096))))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pyserial's
def test_rfc2217(cable: Cable):
    with create_server(f"serial://{cable.b}", Recorder(lambda s, m: s.sender.send(m[::-1]))):
        with Bridge(cable.a) as bridge:
            conversing(f"serial://{bridge.url}?baud=19200", lambda message: message[::-1])
        assert bridge.port.baudrate == 19200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rfc2217_whose_far_side_vanishes(cable: Cable):
    told = Recorder()
    with Bridge(cable.a) as bridge, create_client(f"serial://{bridge.url}", told):
        told.wait("connect")
        bridge.sock.shutdown(socket.SHUT_RDWR)
        error = told.wait("fail")[0]
        assert isinstance(error, ConnectionLost)
        assert "is gone, unplugged perhaps" in str(error)
        told.wait("disconnect")


@pytest.mark.parametrize("handler", ["socket", "rfc2217"])
def test_the_far_side_is_not_there(handler: str, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectFailed, match=f"{handler}://127.0.0.1:{port} cannot be opened: nobody listens there; is"):
        connect(f"serial://{handler}://127.0.0.1:{port}")

    def too_late(*args: object, **kwargs: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", too_late)
    with pytest.raises(ConnectFailed, match="it did not answer in time; is it switched on"):
        connect(f"serial://{handler}://127.0.0.1:{port}")
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: int("x"))
    with pytest.raises(ConnectFailed, match="invalid literal"):
        connect(f"serial://{handler}://127.0.0.1:{port}")


def test_alt(cable: Cable):
    with echo(cable):
        conversing(f"serial://alt://{cable.a}?class=PosixPollSerial", lambda message: message[::-1])


def test_loop():
    told = Recorder()
    client = create_client("serial://loop://?logging=error&framing=length", told)
    with client:
        client.send(b"to myself")
        assert told.wait("receive") == [b"to myself"]


def test_closing_a_handler_that_waits():
    connection = connect("serial://loop://")
    receiving = Later(connection.receive)
    connection.abort()
    assert receiving.result() is None
    with pytest.raises(ConnectionLost, match="it was closed"):
        connection._write(b"late")
    connection.close()
    connection._close()


def test_a_handler_is_read_in_time():
    connection = connect("serial://loop://")
    assert connection.fileno() is None
    with pytest.raises(CommTimeout):
        connection.receive(0.01)
    connection.set_blocking(False)
    with pytest.raises(BlockingIOError):
        connection._read()
    connection.send(b"one")
    assert connection.receive(PATIENCE_S) == b"one"
    assert connection._wait_writable(0)
    connection.abort()
    connection.close()
