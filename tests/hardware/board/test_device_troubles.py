"""Real firmware on the virtual board against the real Python side: whatever goes wrong with boards and their lines."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leadscomm import (
    Client,
    CommError,
    ConnectFailed,
    ConnectionLost,
    DeliveryError,
    LocalProtocolError,
    connect,
    create_client,
)
from leadscomm.hardware import Board, Mode, Sample
from leadscomm.testing import VirtualBoard
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.hardware.firmware.sketches import COMPANION, LIBRARY, Sketches
from tests.hardware.traffic import Echoes, random_messages

STARTED, IN_SESSION = 1, 2  # marks of ECHO
CLOCK_HZ = 16_000_000
RESTORED_S = 0.1
ECHO = """
#include <LeadsComm.h>
leadscomm::ReliableConnection<> host(Serial, "echo");
uint32_t session = 0;
void setup() { GPIOR0 = 1; Serial.begin(115200); }
void loop() {
  if (host.poll()) host.send(host.data(), host.size());
  if (host.session() != session) {
    session = host.session();
    if (session) GPIOR0 = 2;
  }
}
"""
BUSY = ECHO.replace("  if (host.poll())", "  delay(50);\n  if (host.poll())")
LONG = """
#include <LeadsComm.h>
leadscomm::ReliableConnection<58, 2, Stream, 400> host(Serial, "long");
leadscomm::Assembler<400> whole;
leadscomm::LongMessage answer;
uint8_t text[400];
void setup() { Serial.begin(115200); }
void loop() {
  answer.sendTo(host);
  if (!host.poll() || !whole.add(host)) return;
  memcpy(text, whole.data(), whole.size());
  answer.begin(text, whole.size());
}
"""
TRAPPED = 3  # a mark of TRAP
TRAP = LONG.replace("!host.poll() || ", "!host.poll() || trapped() || ").replace(
    "void loop()",
    """bool trapped() {
  static uint8_t pieces;
  if (++pieces < 3) return false;
  GPIOR0 = 3;
  while (true) {}
}
void loop()""",
)
"""It stops for good at the third piece since it was started."""
MUTE = "void setup() { Serial.begin(115200); }\nvoid loop() {}\n"


def refusal(endpoint: str) -> str:
    """Why it cannot be connected to."""
    with pytest.raises(CommError) as refused:
        connect(endpoint)
    return str(refused.value)


@contextlib.contextmanager
def running(firmware: Path, **options: Any) -> Iterator[VirtualBoard]:
    with VirtualBoard(firmware, mcu="uno", **options) as virtual:
        yield virtual


# A board that speaks something else, or nothing


def test_a_board_that_never_answers(sketches: Sketches) -> None:
    with running(sketches.text(MUTE)) as virtual:
        said = refusal(f"{virtual.endpoint}&reliable=1&connect_timeout=0.3")
    assert "does not answer" in said
    assert "baud" in said


@pytest.mark.parametrize("baud", [9600, 57600, 230400])
def test_another_baud_rate(sketches: Sketches, baud: int) -> None:
    with running(sketches.text(ECHO)) as virtual:
        endpoint = virtual.endpoint.replace("115200", str(baud))
        assert "baud" in refusal(f"{endpoint}&reliable=1&connect_timeout=1.5")


def test_another_version_of_the_protocol(sketches: Sketches) -> None:
    library = sketches.library("leadscomm/handshake.h", {"uint8_t version = 1;": "uint8_t version = 2;"})
    with running(sketches.changed(LIBRARY / "examples" / "Reliable", [], library=library)) as virtual:
        said = refusal(f"{virtual.endpoint}&reliable=1&connect_timeout=1")
    assert re.search(r"version\D*2", said), said


def test_a_board_without_a_session(sketches: Sketches) -> None:
    with running(sketches.example("Sensor")) as virtual:
        said = refusal(f"{virtual.endpoint}&reliable=1&connect_timeout=1")
    assert "profile" in said or "session" in said, said


# Messages that are too long, and long ones


def test_a_message_that_is_longer_than_the_boards_buffer(sketches: Sketches) -> None:
    echoes = Echoes()
    with running(sketches.text(ECHO)) as virtual, Client(f"{virtual.endpoint}&reliable=1", echoes) as client:
        with pytest.raises(LocalProtocolError, match="has 59 bytes, and the peer takes 58 at most"):
            client.send(bytes(59))
        with pytest.raises(LocalProtocolError, match="has 59 bytes, and the peer takes 58 at most"):
            client.connection.send_datagram(bytes(59))
        client.send(bytes(58))
        assert echoes.wait(1) == [bytes(58)]


def test_long_messages(sketches: Sketches) -> None:
    messages = random_messages(3, 12, most=400, fewest=59)
    echoes = Echoes()
    with running(sketches.text(LONG)) as virtual, Client(f"{virtual.endpoint}&reliable=1", echoes) as client:
        for number, message in enumerate(messages, 1):
            client.send(message)
            assert echoes.wait(number)[-1] == message
        with pytest.raises(LocalProtocolError, match="takes 400 at most"):
            client.send(bytes(401))
    assert echoes.failed == []


def test_a_reset_in_the_middle_of_a_long_message(sketches: Sketches) -> None:
    recorder = Recorder()
    long = bytes(range(200)) * 2
    with running(sketches.text(TRAP)) as virtual, Client(f"{virtual.endpoint}&reliable=1", recorder) as client:
        client.send(long)
        wait_until(lambda: TRAPPED in dict(virtual.marks()), "the third of its seven pieces")
        virtual.reset()
        recorder.wait("reconnect")
        client.send(b"short")
        assert recorder.wait("receive") == [b"short"]
    (error,) = recorder.of("fail")
    assert isinstance(error, DeliveryError)
    assert error.messages == (long,)


# Resets and plugs


class Stream:
    """Sends numbered messages, as fast as they are taken, and remembers those that were accepted."""

    def __init__(self, client: Client) -> None:
        self.accepted: list[bytes] = []
        self._client = client
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set():
            message = number.to_bytes(4, "little") * (1 + number % 8)
            try:
                self._client.send(message)
            except ConnectionLost:
                self._ended.wait(0.001)
            else:
                self.accepted.append(message)
                number += 1


def test_resets_in_the_middle_of_a_stream(sketches: Sketches) -> None:
    resets = 5
    recorder = Recorder()
    with running(sketches.text(ECHO)) as virtual:
        with Client(f"{virtual.endpoint}&reliable=1&outbox=4096&send_timeout=60", recorder) as client:
            with Stream(client) as stream:
                for number in range(1, resets + 1):
                    recorder.wait("receive", 30 * number)
                    virtual.reset()
                    recorder.wait("reconnect", number)
            client.send(b"the end")
            wait_until(lambda: recorder.of("receive")[-1] == b"the end")
        marks = virtual.marks()
    everything_is_accounted_for(recorder, stream.accepted, resets)
    starts = [at for (mark, at) in marks if mark == STARTED][-resets:]
    took = [min(then for mark, then in marks if mark == IN_SESSION and then > at) - at for at in starts]
    print("\nsession restored after", [f"{cycles / CLOCK_HZ * 1e3:.0f} ms" for cycles in took])
    assert min(took) / CLOCK_HZ <= RESTORED_S  # the board's time; the others may have waited for a busy machine


def everything_is_accounted_for(recorder: Recorder, accepted: list[bytes], resets: int) -> None:
    """What was accepted came back, in order and once, or was reported. A reset also takes with it what the board had
    acknowledged and not yet sent back: as many messages as its window and its last turn hold."""
    came = recorder.of("receive")[:-1]
    errors = recorder.of("fail")
    assert all(isinstance(error, DeliveryError) for error in errors), errors
    reported = [message for error in errors for message in error.messages]
    place = {message: number for number, message in enumerate(accepted)}
    assert len(place) == len(accepted)
    places = [place[message] for message in came]
    assert places == sorted(set(places))
    assert len(set(reported)) == len(reported)
    missing = set(accepted) - set(came) - set(reported)
    assert len(missing) <= 3 * resets, f"{len(missing)} of {len(accepted)}"


def test_a_silent_board_that_was_reset_is_found_out(sketches: Sketches) -> None:
    recorder = Recorder()
    with running(sketches.text(ECHO)) as virtual, Client(f"{virtual.endpoint}&reliable=1", recorder):
        virtual.reset()
        recorder.wait("reconnect")  # nobody sends anything
    assert recorder.kinds() == ["initialize", "connect", "disconnect", "connect", "reconnect", "disconnect"]


def test_unplugged_and_plugged_in_again(sketches: Sketches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under another name, found by its tag; what it was told is given again."""
    samples: list[Sample] = []
    recorder = Recorder()
    monkeypatch.setenv("LEADSCOMM_PORTS", "")
    with running(sketches.companion(), link=tmp_path / "port") as virtual:
        monkeypatch.setenv("LEADSCOMM_PORTS", str(tmp_path / "port"))
        with Board(identity="companion", callback=recorder, reconnect_min=0.05, reconnect_max=0.1) as board:
            board.pin(7).mode(Mode.PULLUP)
            board.report(samples.append, analog=[0], digital=[7], rate=100)
            wait_until(lambda: len(samples) > 3)
            virtual.unplug()
            recorder.wait("disconnect")
            with pytest.raises(ConnectionLost):
                board.pin(13).write(1)
            virtual.plug()
            recorder.wait("reconnect")
            del samples[:]
            wait_until(lambda: len(samples) > 3)
            assert samples[-1].digital == {7: True}
            board.pin(13).write(1)
            assert virtual.pin(13) is True


def test_a_plug_is_pulled_while_a_message_is_on_its_way(sketches: Sketches, tmp_path: Path) -> None:
    recorder = Recorder()
    link = tmp_path / "port"
    endpoint = f"serial://{link}?baud=115200&reliable=1&reconnect_min=0.05"
    with running(sketches.text(LONG), link=link) as virtual, Client(endpoint, recorder) as client:
        client.send(bytes(400))
        virtual.unplug()
        recorder.wait("disconnect")
        virtual.plug()
        recorder.wait("reconnect")
        client.send(b"again")
        assert recorder.wait("receive") == [b"again"]
    lost = [error for error in recorder.of("fail") if isinstance(error, DeliveryError)]
    assert [error.messages for error in lost] == [(bytes(400),)]


def test_two_boards_with_one_tag(sketches: Sketches, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = sketches.companion()
    with running(firmware) as one, running(firmware) as other:
        monkeypatch.setenv("LEADSCOMM_PORTS", os.pathsep.join([one.port, other.port]))
        with pytest.raises(ConnectFailed) as refused:
            connect("serial://auto?identity=companion&baud=115200&reliable=1")
        assert one.port in str(refused.value)
        assert other.port in str(refused.value)


# Busy boards


def test_a_busy_loop_under_a_flood(sketches: Sketches) -> None:
    """The sketch looks every 50 ms only, and its receive ring holds 63 bytes: slow, and nothing is lost."""
    messages = random_messages(5, 25, most=58, fewest=30)
    echoes = Echoes()
    with running(sketches.text(BUSY)) as virtual:
        with Client(f"{virtual.endpoint}&reliable=1&connect_timeout=5", echoes) as client:
            for message in messages:
                client.send(message)
            assert echoes.wait(len(messages)) == messages
            resent = client.connection.counters().resent
        print(f"\n{len(messages)} messages in {virtual.seconds():.1f} s of the board's time, {resent} sent again")
    assert echoes.failed == []


def test_a_flood_of_datagrams_harms_no_session(sketches: Sketches) -> None:
    """Far more than the receive ring takes while the sketch sleeps; what is reliable arrives all the same."""
    recorder = Recorder()
    busy = sketches.changed(COMPANION, [("void loop() {\n", "void loop() {\n  delay(50);\n")])
    with running(busy) as virtual, Board(virtual.endpoint, recorder, timeout=PATIENCE_S) as board:
        connection = board.connection
        for number in range(4):
            for _ in range(20):
                board.send_datagram(bytes(40))
            board.echo(b"%d" % number)
        counters = board.counters()
        assert counters.overruns > 0
        assert counters.bad_frames > 0
        assert board.connection is connection
    assert recorder.of("fail") == []


def test_the_boards_clock_turns_round(sketches: Sketches) -> None:
    """Its millis() begin 3 s before their end."""
    changes = [
        ("Tag tag;", "extern volatile unsigned long timer0_millis;\nTag tag;"),
        ("  tag.load();", "  tag.load();\n  timer0_millis = 0xFFFFFFFF - 3000;"),
    ]
    samples: list[Sample] = []
    recorder = Recorder()
    with running(sketches.changed(COMPANION, changes)) as virtual, Board(virtual.endpoint, recorder) as board:
        assert board.info().uptime > 4_294_963
        board.report(samples.append, analog=[0], rate=100)
        while board.info().uptime > 1000:
            board.pin(13).write(1)
            virtual.advance(0.02)
        virtual.advance(0.2)
        counters = board.counters()
    assert counters.lost == 0
    gaps = [then.time - before.time for before, then in itertools.pairwise(samples)]
    assert max(gaps) < 0.1, max(gaps)
    assert 0.009 < sorted(gaps)[len(gaps) // 2] < 0.011
    assert recorder.of("fail") == []


# LEADS


def test_our_client_and_a_board_that_speaks_leads_text(sketches: Sketches, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    with running(sketches.example("LeadsText")) as virtual:
        monkeypatch.setenv("LEADSCOMM_PORTS", virtual.port)
        virtual.set_analog(0, 2.5)
        with create_client("serial://auto?identity=WSC", recorder) as client:
            assert set(recorder.wait("receive", 3)) - {b"wsc"} <= {b"tpd:511", b"tpd:512"}  # it may be asked twice
            client.send(b"led:1")
            wait_until(lambda: virtual.pin(13))
            client.send(b"led:0")
            wait_until(lambda: not virtual.pin(13))
    assert recorder.of("fail") == []


@pytest.mark.parametrize("sketch", ["companion", "LeadsText"])
def test_a_host_of_leads_finds_a_board_of_ours(
    sketches: Sketches, leads_python: Callable[[str], str], sketch: str
) -> None:
    from tests.interop.leads_peer import LeadsPeer

    if sketch == "companion":
        firmware = sketches.changed(COMPANION, [("#define BAUD 115200", "#define BAUD 9600")])
        tag, telemetry, order = "companion", b"a", b"d13:1"
    else:
        firmware = sketches.example(sketch, baud=9600)
        tag, telemetry, order = "wsc", b"tpd:", b"led:1"
    with (
        running(firmware, reset_on_open=False) as virtual,  # LEADS asks before a board that was reset could hear it
        LeadsPeer(leads_python("0.9.7"), "0.9.7") as leads,
    ):
        for tries in range(1, 10):  # what is reported just when it asks, LEADS takes for the answer
            leads.command("find", virtual.port, tag)
            wait_until(lambda tries=tries: len(leads.of("connect") + leads.of("raised")) == tries)
            if leads.of("connect"):
                break
        assert leads.of("connect") == [virtual.port]
        assert any(message.startswith(telemetry) for message in leads.wait("receive", 3))
        leads.command("write", order)
        wait_until(lambda: virtual.pin(13))


def test_a_host_of_leads_that_opens_its_port_anew_does_not_ask(
    sketches: Sketches, leads_python: Callable[[str], str]
) -> None:
    """It trusts the board. So is heard what comes first, and what comes after a farewell."""
    from tests.interop.leads_peer import LeadsPeer

    firmware = sketches.changed(COMPANION, [("#define BAUD 115200", "#define BAUD 9600")])
    with running(firmware, reset_on_open=False) as virtual:
        for order, high in ((b"d13:1", True), (b"d13:0", False)):
            with LeadsPeer(leads_python("0.9.7"), "0.9.7") as leads:
                leads.command("serial", virtual.port, 9600)
                leads.wait("connect")
                leads.command("write", order)
                wait_until(lambda high=high: virtual.pin(13) is high)
                leads.command("write", b"disconnect")
                leads.kill()


def test_a_sketch_that_prints_on_the_line_of_its_session(sketches: Sketches) -> None:
    """Each frame begins with a 00, which ends what was printed: nothing has to be sent again for it."""
    echoes = Echoes()
    send = "host.send(host.data(), host.size());"
    chatty = ECHO.replace(send, f'{{ Serial.print(F("got ")); Serial.println(host.size()); {send} }}')
    with (
        running(sketches.text(chatty)) as virtual,
        Client(f"{virtual.endpoint}&reliable=1", echoes) as client,
    ):
        for number in range(1, 31):
            client.send(bytes([number]))
            echoes.wait(number)
        assert client.connection.counters().resent < 10
        assert client.connection.counters().bad_frames >= 30, "the prints"
    assert echoes.failed == []
