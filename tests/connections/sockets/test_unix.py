"""Unix sockets: their files, with permissions, and what is left of them."""

from __future__ import annotations

import os
import socket
import stat
import sys

import pytest

from leadscomm import ConnectFailed, EndpointError, connect, create_server, listen
from leadscomm.connections.sockets import unix
from tests.connections.transports import Later, accepted, listening

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix system: no mend on Windows")


def mode_of(path: object) -> int:
    return stat.S_IMODE(os.stat(str(path)).st_mode)


@pytest.mark.parametrize(("mode", "bits"), [("", 0o600), ("?mode=666", 0o666), ("?mode=0640", 0o640)])
def test_the_file_has_its_permissions_and_goes_with_the_listener(tmp_path, mode, bits):
    path = tmp_path / "socket"
    before = os.umask(0o077)
    try:
        with listening(f"unix://{path}{mode}"):
            assert mode_of(path) == bits
    finally:
        os.umask(before)
    assert not path.exists()


def test_systems_where_the_socket_has_no_permissions_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(unix.sys, "platform", "darwin")
    before = os.umask(0o022)
    try:
        with listening(f"unix://{tmp_path}/socket?mode=660"):
            assert mode_of(tmp_path / "socket") == 0o660
            assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_file_that_nobody_listens_on_any_more_is_replaced(tmp_path):
    path = str(tmp_path / "socket")
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    with pytest.raises(ConnectFailed, match="nobody listens there any more; is its server started"):
        connect(f"unix://{path}")
    with listening(f"unix://{path}") as listener:
        waiting = Later(accepted, listener)
        client = connect(f"unix://{path}")
        server = waiting.result()
        assert (str(client), client._origin) == (f"unix:{path}", None)
        for connection in (client, server):
            connection.abort()
            connection.close()


def test_a_file_that_somebody_listens_on_is_left_alone(tmp_path):
    url = f"unix://{tmp_path}/socket"
    with listening(url), pytest.raises(ConnectFailed, match="in use by another program; stop that one, or choose"):
        listen(url)


def test_a_server_that_is_busy_is_left_alone(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        fillers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(path)
        with pytest.raises(ConnectFailed, match="in use by another program"):
            listen(f"unix://{path}")
        with pytest.raises(ConnectFailed, match=r"accepts nobody at the moment; is it stopped, or busy\?"):
            connect(f"unix://{path}", timeout=0.1)
        for filler in fillers:
            filler.close()


def test_the_file_of_a_successor_is_not_removed(tmp_path):
    path = tmp_path / "socket"
    with listening(f"unix://{path}"):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"
    path.unlink()
    with listening(f"unix://{path}"):
        path.unlink()


def test_a_server_can_be_started_again_at_once(tmp_path):
    server = create_server(f"unix://{tmp_path}/socket")
    for _ in range(3):
        with server:
            connect(f"unix://{tmp_path}/socket").close()


@pytest.mark.parametrize(
    ("path", "kind", "mend"),
    [
        ("file", ConnectFailed, "is there already and is no socket; choose another path"),
        ("no/folder/socket", ConnectFailed, "cannot be listened on: there is no such folder"),
        ("x" * 120, EndpointError, "a socket's path has 1 to 103 bytes, and this one has"),
    ],
)
def test_what_cannot_be_listened_on(tmp_path, path, kind, mend):
    (tmp_path / "file").write_text("")
    with pytest.raises(kind, match=mend):
        listen(f"unix://{tmp_path}/{path}")


def test_what_cannot_be_dialled(tmp_path, monkeypatch):
    with pytest.raises(ConnectFailed, match="there is no such socket; is its server started"):
        connect(f"unix://{tmp_path}/socket")
    with pytest.raises(EndpointError, match="1 to 103 bytes, and this one has 0"):
        connect("unix://")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectFailed, match="nobody listens there"):
        connect(f"unix://{tmp_path}/file")


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (
            PermissionError(13, "Permission denied"),
            r"no permission \(the socket's mode is 600\); start the server with",
        ),
        (OSError(5, "Input/output error"), "cannot be opened: Input/output error"),
        (KeyboardInterrupt(), ""),
    ],
)
def test_what_the_system_does_not_allow(tmp_path, monkeypatch, error, mend):
    def refuse(self: socket.socket, path: str) -> None:
        raise error

    with listening(f"unix://{tmp_path}/socket"):
        monkeypatch.setattr(socket.socket, "connect", refuse, raising=False)
        with pytest.raises(ConnectFailed if mend else KeyboardInterrupt, match=mend or None):
            connect(f"unix://{tmp_path}/socket")
        if isinstance(error, PermissionError):
            with pytest.raises(ConnectFailed, match="no permission to look into its folder"):
                connect(f"unix://{tmp_path}/nowhere/socket")


def test_no_permission_to_make_the_file(tmp_path, monkeypatch):
    def refuse(self: socket.socket, path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse, raising=False)
    with pytest.raises(ConnectFailed, match="cannot be listened on: Permission denied"):
        listen(f"unix://{tmp_path}/socket")


def test_windows_is_told_at_use(monkeypatch):
    monkeypatch.setattr(unix.sys, "platform", "win32")
    with pytest.raises(EndpointError, match=r"needs a Unix system; use tcp://127\.0\.0\.1 on Windows"):
        connect("unix:///tmp/socket")
