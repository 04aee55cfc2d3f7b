"""Writes framing.json, crc.json, challenge.json, session.json, full.json: ``python tests/vectors/generate.py``.

It uses nothing of leadscomm: the CRCs are computed bit by bit from crcmod's definitions, COBS byte by byte as its paper
describes it, HMAC from SHA-256 as RFC 2104 does, and what a receiver must make of bad streams is written down by hand.
docs/wire-protocol.md describes the files.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import crcmod.predefined  # type: ignore[import-untyped]

HERE = Path(__file__).parent
MAX_MESSAGE = 1 << 20
CATALOGUE: dict[str, tuple[int, bool, int, int, int]] = {
    row[0]: tuple(row[2:]) for row in crcmod.predefined._crc_definitions_table
}


def crc_register(name: str, data: bytes) -> tuple[int, int]:
    """The register after ``data``, before any final exclusive-or, and its width in bits."""
    full, reflected, init, xor_out, _ = CATALOGUE[name]
    width = full.bit_length() - 1
    polynomial = full & ((1 << width) - 1)
    register = init ^ xor_out
    if reflected:
        register = mirrored(register, width)
    for byte in data:
        for bit in range(8):
            one = (byte >> bit if reflected else byte >> (7 - bit)) & 1
            top = register >> (width - 1) & 1
            register = register << 1 & ((1 << width) - 1)
            if one ^ top:
                register ^= polynomial
    return (mirrored(register, width) if reflected else register), width


def mirrored(value: int, width: int) -> int:
    return int(f"{value:0{width}b}"[::-1], 2)


def crc_value(name: str, data: bytes) -> int:
    return crc_register(name, data)[0] ^ CATALOGUE[name][3]


def crc_wire(name: str, data: bytes) -> bytes:
    register, width = crc_register(name, data)
    return (register ^ ((1 << width) - 1)).to_bytes(width // 8, "big")


def cobs(body: bytes) -> bytes:
    """COBS, byte by byte."""
    out = bytearray([0])
    code_at = 0
    for i, byte in enumerate(body):
        if byte:
            out.append(byte)
        if not byte or (len(out) - code_at == 255 and i + 1 < len(body)):
            out[code_at] = len(out) - code_at
            code_at = len(out)
            out.append(0)
    out[code_at] = len(out) - code_at
    return bytes(out)


def cobs_frame(message: bytes, crc: str = "crc-32") -> bytes:
    return cobs(message + crc_wire(crc, message)) + b"\0"


def length_frame(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def settings(**given: Any) -> dict[str, Any]:
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in given.items()}


def stream(name: str, frames: list[tuple[bytes, bytes]], **given: Any) -> dict[str, Any]:
    """Messages, and the bytes that a sender must make of them."""
    messages, wire = [m.hex() for m, _ in frames], b"".join(f for _, f in frames)
    return {"name": name, **settings(**given), "messages": messages, "stream": wire.hex()}


def marked(name: str, mark: bytes, messages: list[bytes], **given: Any) -> dict[str, Any]:
    return stream(name, [(m, m + mark) for m in messages], **given)


def good_streams() -> list[dict[str, Any]]:
    ramp, sep = bytes(range(256)), {"framing": "separator"}
    texts = [b"hello", b"", b"wss_lf:12.00", ramp.replace(b";", b""), b"disconnected", b"disconnec"]
    cases = [
        marked("LEADS hello", b";", [b"hello"], **sep, separator=b";"),
        marked("LEADS identity question", b";", [b"ic"], **sep, separator=b";"),
        marked("LEADS identity answer", b";", [b"wsc"], **sep, separator=b";"),
        marked("texts, an empty one, bytes", b";", texts, **sep, separator=b";"),
        marked("separator of two bytes", b"\r\n", [b"a", b"\rb\n", b"", b"c\r"], **sep, separator=b"\r\n"),
        marked("separator that overlaps itself", b"--", [b"x", b"a-b", b"-x", b""], **sep, separator=b"--"),
        marked("lines", b"\n", [b"one", b"", b"t\rwo", b"a;b"], framing="line"),
        stream("lengths", [(m, length_frame(m)) for m in (b"", b"a", b";\n\0", ramp * 2)], framing="length"),
    ]
    for size in (0, 1, 245, 249, 250, 251, 253, 254, 255, 504, 508):
        body = bytes(1 + i % 255 for i in range(size))
        cases.append(
            stream(f"cobs, {size} bytes without zero", [(body, cobs_frame(body))], framing="cobs", crc="crc-32")
        )
    several = [
        b"\0",
        b"\0\0",
        b"\x11\x22\0\x33",
        b"\x11\0\0\0",
        ramp,
        bytes(300),
        b"x" * 254 + b"\0",
        b"\0" + b"x" * 254,
    ]
    for crc in ("crc-32", "crc-ccitt-false", "crc-8", "crc-24", "crc-64"):
        frames = [(m, cobs_frame(m, crc)) for m in several]
        cases.append(stream(f"cobs, zeros, {crc}", frames, framing="cobs", crc=crc))
    return cases


def receive(name: str, wire: bytes, messages: list[bytes], faults: int, **given: Any) -> dict[str, Any]:
    """What a receiver must make of a stream."""
    broken, rest = given.pop("broken", False), given.pop("remainder", b"")
    return {
        "name": name,
        **settings(**given),
        "stream": wire.hex(),
        "messages": [m.hex() for m in messages],
        "faults": faults,
        "broken": broken,
        "remainder": rest.hex(),
    }


def received_marked() -> list[dict[str, Any]]:
    sep = {"framing": "separator", "separator": b";", "max_message": MAX_MESSAGE}
    small, broken = {**sep, "max_message": 4}, {"broken": True}
    crlf = {**sep, "separator": b"\r\n"}
    line = {"framing": "line", "max_message": 4}
    return [
        receive("half a message is none", b"a;bc", [b"a"], 0, remainder=b"bc", **sep),
        receive("half a farewell is none", b"x;disconnect", [b"x"], 0, remainder=b"disconnect", **sep),
        receive("the farewell", b"x;disconnect;", [b"x", b"disconnect"], 0, **sep),
        receive("only separators", b";;;", [b"", b"", b""], 0, **sep),
        receive("separator of two bytes", b"a\r\nb\r\n", [b"a", b"b"], 0, **crlf),
        receive("half a separator", b"a\r\nb\r", [b"a"], 0, remainder=b"b\r", **crlf),
        receive("as long as allowed", b"1234;12", [b"1234"], 0, remainder=b"12", **small),
        receive("too long", b"ok;12345;ok;", [b"ok"], 1, **broken, **small),
        receive("too long, unfinished", b"ok;12345", [b"ok"], 1, **broken, **small),
        receive("line ends of both kinds", b"a\nb\r\nc\r\r\nd\r", [b"a", b"b", b"c\r"], 0, remainder=b"d\r", **line),
        receive("line as long as allowed", b"1234\r\n12", [b"1234"], 0, remainder=b"12", **line),
        receive("line too long", b"ok\r\n1234\r\r\nok\n", [b"ok"], 1, **broken, **line),
    ]


def received_lengths() -> list[dict[str, Any]]:
    given = {"framing": "length", "max_message": 8}
    ok, broken = length_frame(b"ok"), {"broken": True}
    return [
        receive("half a length", ok + b"\0\0\0", [b"ok"], 0, remainder=b"\0\0\0", **given),
        receive("half a message", ok + length_frame(b"abcd")[:6], [b"ok"], 0, remainder=b"\0\0\0\4ab", **given),
        receive("as long as allowed", length_frame(b"12345678"), [b"12345678"], 0, **given),
        receive("too long", ok + b"\0\0\0\x09", [b"ok"], 1, **broken, **given),
        receive("a web browser", ok + b"GET / HTTP/1.1\r\n", [b"ok"], 1, **broken, **given),
    ]


def received_cobs() -> list[dict[str, Any]]:
    given = {"framing": "cobs", "crc": "crc-32", "max_message": 8}
    board = {"framing": "cobs", "crc": "crc-ccitt-false", "max_message": 8}
    ok = cobs_frame(b"ok")
    flipped = bytes([ok[0], ok[1] ^ 1]) + ok[2:]
    long = cobs_frame(b"123456789")
    wide, full_run = {**given, "max_message": 250}, cobs_frame(b"x" * 250)
    short = b"ok" + crc_wire("crc-ccitt-false", b"ok")
    plain = b"ok" + crc_value("crc-ccitt-false", b"ok").to_bytes(2, "big")
    return [
        receive("zeros between frames", b"\0\0" + ok + b"\0" + ok, [b"ok", b"ok"], 0, **given),
        receive("half a frame", ok + ok[:3], [b"ok"], 0, remainder=ok[:3], **given),
        receive("one bit flipped", ok + flipped + ok, [b"ok", b"ok"], 1, **given),
        receive("a byte lost", ok + ok[:2] + ok[3:] + ok, [b"ok", b"ok"], 1, **given),
        receive("frame shorter than its CRC", b"\x04abc\0" + ok, [b"ok"], 1, **given),
        receive("shorter than its CRC, zeros", b"\x01\x01\0" + ok, [b"ok"], 1, **given),
        receive("code byte beyond the end", b"\x09abcdef\0" + ok, [b"ok"], 1, **given),
        receive("as long as allowed", cobs_frame(b"12345678"), [b"12345678"], 0, **given),
        receive("too long", long + ok, [b"ok"], 1, **given),
        receive("endless", b"\xffx" * 100 + b"\0" + ok, [b"ok"], 1, **given),
        receive("too long, unfinished", ok + b"\xff" * 100, [b"ok"], 1, **given),
        receive("frame joined with the next", ok[:-1] + ok + ok, [b"ok"], 1, **given),
        receive("superfluous code at the end", full_run[:-1] + b"\1\0", [b"x" * 250], 0, **wide),
        receive("crc-16, a zero more at the end", cobs(short + b"\0") + b"\0", [], 1, **board),
        receive("crc-16, not complemented", cobs(plain) + b"\0", [], 1, **board),
    ]


def refused() -> list[dict[str, Any]]:
    """What a sender must refuse."""

    def refuse(name: str, message: bytes, **given: Any) -> dict[str, Any]:
        return {"name": name, **settings(**given), "message": message.hex()}

    return [
        refuse("the separator", b"a;b", framing="separator", separator=b";", max_message=8),
        refuse("the farewell", b"disconnect", framing="separator", separator=b";", max_message=16),
        refuse("too long", b"123456789", framing="separator", separator=b";", max_message=8),
        refuse("separator of two bytes", b"a\r\nb", framing="separator", separator=b"\r\n", max_message=8),
        refuse("end that meets the separator", b"x-", framing="separator", separator=b"--", max_message=8),
        refuse("line feed", b"a\nb", framing="line", max_message=8),
        refuse("carriage return at the end", b"a\r", framing="line", max_message=8),
        refuse("too long", b"123456789", framing="line", max_message=8),
        refuse("too long", b"123456789", framing="length", max_message=8),
        refuse("too long", b"123456789", framing="cobs", crc="crc-32", max_message=8),
        refuse("too long", b"123456789", framing="datagram", max_message=8),
        refuse("empty", b"", framing="datagram", max_message=8),
    ]


def crcs() -> list[dict[str, Any]]:
    inputs = [b"", b"\0", b"\0\0", b"123456789", bytes(range(256))]
    entries = []
    for name, (full, reflected, init, xor_out, check) in CATALOGUE.items():
        assert crc_value(name, b"123456789") == check, name
        size = (full.bit_length() - 1) // 8
        entries.append({
            "name": name,
            "width": 8 * size,
            "polynomial": (full & ((1 << 8 * size) - 1)).to_bytes(size, "big").hex(),
            "reflected": bool(reflected),
            "init": (init ^ xor_out).to_bytes(size, "big").hex(),
            "xor_out": xor_out.to_bytes(size, "big").hex(),
            "check": check.to_bytes(size, "big").hex(),
            "wire": [{"data": data.hex(), "crc": crc_wire(name, data).hex()} for data in inputs],
        })  # fmt: skip
    return entries


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, with SHA-256, whose blocks have 64 bytes."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def challenges() -> list[dict[str, str]]:
    """Key challenges from the first byte to the last."""
    some, others = bytes(range(32)), bytes(range(255, 223, -1))
    entries = []
    for name, key, client, server in (
        ("the shortest key", b"0123456789abcdef", some, others),
        ("a key of 32 bytes", bytes(range(100, 132)), others, some),
        ("a key longer than a block of SHA-256", b"long " * 20, bytes(32), bytes([255] * 32)),
    ):
        entries.append({
            "name": name,
            "key": key.hex(),
            "client_nonce": client.hex(),
            "server_nonce": server.hex(),
            "client_greeting": (b"LCK1" + client).hex(),
            "server_answer": (b"LCK1" + server + hmac_sha256(key, b"LCK1 server" + client + server)).hex(),
            "client_proof": hmac_sha256(key, b"LCK1 client" + server + client).hex(),
            "server_consent": "06",
        })  # fmt: skip
    return entries


BOARD_CRC = "crc-ccitt-false"


def little(value: int, size: int) -> bytes:
    return bytes(value >> 8 * place & 255 for place in range(size))


def session_frame(name: str, frame: bytes, kind: str, **said: Any) -> dict[str, Any]:
    wire = cobs_frame(frame, BOARD_CRC)
    return {"name": name, "frame": frame.hex(), "wire": wire.hex(), "kind": kind, **said}


def datagram(name: str, count: int, payload: bytes) -> dict[str, Any]:
    return session_frame(name, bytes([count]) + payload, "datagram", count=count, payload=payload.hex())


def data(name: str, number: int, ack: int, payload: bytes, more: bool = False) -> dict[str, Any]:
    frame = bytes([(128 if more else 64) + number * 8 + ack]) + payload
    return session_frame(name, frame, "more" if more else "data", number=number, ack=ack, payload=payload.hex())


def control(name: str, which: str, ack: int, body: bytes, **said: Any) -> dict[str, Any]:
    number = ("ACK", "HELLO", "WELCOME", "REFUSE", "BYE", "PING").index(which)
    return session_frame(name, bytes([192 + number * 8 + ack]) + body, "control", control=which, ack=ack, **said)


def handshake(name: str, which: str, tag: str, behind: bytes = b"", **fields: int) -> dict[str, Any]:
    sizes = {"version": 1, "profiles": 1, "epoch": 4, "echo": 4, "segment": 2, "longest": 2, "resend": 2, "window": 1,
             "credit": 1}  # fmt: skip
    body = b"".join(little(fields[field], size) for field, size in sizes.items())
    text = tag.encode()
    body += little(len(text), 1) + text + behind
    return control(name, which, 0, body, handshake={**fields, "tag": tag})


def session_frames() -> list[dict[str, Any]]:
    host = {"version": 1, "profiles": 1, "epoch": 0x12345678, "echo": 0, "segment": 1024, "longest": 0xFFFF,
            "resend": 100, "window": 7, "credit": 0}  # fmt: skip
    board = {**host, "epoch": 0xA1B2C3D4, "echo": 0x12345678, "segment": 58, "longest": 58, "resend": 50, "window": 2}
    return [
        datagram("a datagram that is not counted", 0, b"hi"),
        datagram("an empty datagram", 0, b""),
        datagram("the first counted datagram", 1, b"hi"),
        datagram("the highest count", 63, bytes(3)),
        data("data", 3, 5, b"hi"),
        data("empty data", 0, 0, b""),
        data("the highest numbers", 7, 7, b"\xff" * 8),
        data("a full frame for an Arduino's ring", 1, 2, bytes(range(58))),
        data("a full frame of zeros", 1, 2, bytes(58)),
        data("a piece that others follow", 6, 1, b"a long mess", more=True),
        data("the last piece", 7, 1, b"age"),
        *(control(f"ACK {ack}", "ACK", ack, b"") for ack in range(8)),
        control("an ACK with credit", "ACK", 4, b"\x3f", credit=63),
        control("an ACK that lifts the credit", "ACK", 0, b"\x00", credit=0),
        handshake("HELLO of a host", "HELLO", "", **host),
        handshake("HELLO that only asks", "HELLO", "", **{**host, "profiles": 0}),
        handshake("HELLO of a host that speaks both profiles", "HELLO", "base", bytes(10), **{**host, "profiles": 3}),
        handshake("WELCOME of a board", "WELCOME", "wsc", **board),
        handshake("WELCOME of a board with credit", "WELCOME", "wsc", **{**board, "credit": 63}),
        handshake("WELCOME with a tag that is not ASCII", "WELCOME", "m\u00fcller", **board),
        *(
            control(
                f"REFUSE {reason}, {value}", "REFUSE", 0, bytes([reason]) + little(value, 2), reason=reason, value=value
            )
            for reason, value in ((1, 0), (1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (4, 58), (5, 300))
        ),
        control("BYE", "BYE", 0, b""),
        control("PING", "PING", 2, b""),
    ]


def damaged_frames() -> list[dict[str, str]]:
    good = cobs_frame(bytes([0x5D]) + b"hi", BOARD_CRC)
    short = bytes([0xD0]) + bytes(16)
    return [
        {"name": "a bit is wrong", "wire": (good[:3] + bytes([good[3] ^ 1]) + good[4:]).hex()},
        {"name": "a byte is missing", "wire": (good[:2] + good[3:]).hex()},
        {"name": "a byte is there twice", "wire": (good[:3] + good[2:]).hex()},
        {"name": "without a header", "wire": cobs_frame(b"", BOARD_CRC).hex()},
        {"name": "a WELCOME that is cut off", "wire": cobs_frame(short, BOARD_CRC).hex()},
        {"name": "a WELCOME with less tag than it says", "wire": cobs_frame(short + b"\x03ab", BOARD_CRC).hex()},
        {"name": "a REFUSE that is cut off", "wire": cobs_frame(b"\xd8\x01\x00", BOARD_CRC).hex()},
        {"name": "a control frame that there is not", "wire": cobs_frame(b"\xf8", BOARD_CRC).hex()},
    ]


FULL_KEY = b"0123456789abcdef"
MINE, PEERS = 0x12345678, 0xA1B2C3D4


def full_frame(
    name: str, frame: bytes, counter: int, mine: int = MINE, peers: int = PEERS, **said: Any
) -> dict[str, Any]:
    session_key = hmac_sha256(FULL_KEY, b"LSK1" + little(min(mine, peers), 4) + little(max(mine, peers), 4))
    counted = frame + little(counter, 8)
    proof = hmac_sha256(session_key, bytes([1 if mine < peers else 2]) + counted)[:12]
    return {
        "name": name,
        "frame": frame.hex(),
        "checked": (frame + crc_wire("crc-32", frame)).hex(),
        "proved": (counted + proof).hex(),
        "key": FULL_KEY.hex(),
        "mine": mine,
        "peers": peers,
        "counter": counter,
        "epoch": mine,
        **said,
    }


def full_data(
    name: str, counter: int, lane: int, offset: int, payload: bytes, channel: int = 0, **sides: int
) -> dict[str, Any]:
    frame = bytes([64 + lane * 8 + channel]) + little(sides.get("mine", MINE), 4) + little(offset, 8) + payload
    return full_frame(
        name, frame, counter, **sides, kind="data", lane=lane, channel=channel, offset=offset, payload=payload.hex()
    )


def full_control(name: str, counter: int, which: str, body: bytes, **said: Any) -> dict[str, Any]:
    number = ("ACK", "HELLO", "WELCOME", "REFUSE", "BYE", "PING", "PONG").index(which)
    frame = bytes([192 + number * 8]) + little(MINE, 4) + body
    return full_frame(name, frame, counter, kind="control", control=which, **said)


def full_ack(name: str, counter: int, room: int, messages: int, lanes: list[list[Any]]) -> dict[str, Any]:
    body = little(room, 4) + little(messages, 4)
    for lane, channel, dealt, received, ranges in lanes:
        body += bytes([lane * 8 + channel]) + little(dealt, 8) + little(received, 8) + bytes([len(ranges)])
        for first, last in ranges:
            body += little(first - received, 4) + little(last - first, 4)
    return full_control(name, counter, "ACK", body, room=room, messages=messages, lanes=lanes)


def prefixed(message: bytes) -> bytes:
    """A message as it stands in a lane."""
    digits, left = b"", len(message)
    while left >= 128:
        digits += bytes([128 + left % 128])
        left //= 128
    return digits + bytes([left]) + message


# A durable message: the first one of its journal, "hi".
DURABLE = bytes([1]) + bytes(range(8)) + little(1, 8) + b"hi"


def full_frames() -> list[dict[str, Any]]:
    clocks = [123456789, 1 << 40, (1 << 40) + 17]
    swapped = {"mine": PEERS, "peers": MINE}
    big = (1 << 40) + 5
    return [
        full_data("data", 1, 4, 6, prefixed(b"hi")),
        full_data("data of the other side", 1, 4, 6, prefixed(b"hi"), **swapped),
        full_data("the most urgent lane", 2, 0, 0, b"\0"),
        full_data("a record", 9, 4, 0, prefixed(DURABLE), channel=1),
        full_data("high numbers", (1 << 53) - 1, 7, (1 << 53) - 1, bytes(range(256))),
        full_ack("ACK of nothing", 3, 4 << 20, 1 << 16, []),
        full_ack("ACK of a lane", 4, 4 << 20, 1 << 16, [[4, 0, 6, 12, []]]),
        full_ack(
            "ACK with ranges", 5, 1000, 1, [[0, 0, 0, 0, [[5, 9], [12, 100]]], [7, 1, big, big, [[big + 1, big + 2]]]]
        ),
        full_control("BYE", 6, "BYE", b""),
        full_control("PING", 7, "PING", little(clocks[0], 8), clocks=clocks[:1]),
        full_control("PONG", 8, "PONG", b"".join(little(clock, 8) for clock in clocks), clocks=clocks),
    ]


def closed(frame: bytes, key: bytes | None) -> bytes:
    return frame + (crc_wire("crc-32", frame) if key is None else hmac_sha256(key, b"LSK1" + frame)[:12])


def full_handshake(
    name: str,
    which: str,
    key: bytes | None,
    segment: int,
    longest: int | None = None,
    *,
    rides: bool = False,
    **said: int,
) -> dict[str, Any]:
    tag = b"base"
    body = bytes([1, 3 if which == "HELLO" else 2]) + little(said["epoch"], 4) + little(said["echo"], 4)
    body += (
        little(min(segment, 65535), 2)
        + little(min(longest or 65535, 65535), 2)
        + little(100, 2)
        + bytes([7, 0, len(tag)])
        + tag
    )
    body += little(segment, 4) + little(said["room"], 4) + little(said["messages"], 4)
    told = longest is not None and longest >= 65535
    body += bytes([(key is not None) | told << 1 | rides << 2])
    frame = closed(bytes([200 if which == "HELLO" else 208]) + body, key)
    if longest is not None and told:
        frame = closed(frame + little(longest, 4), key)
    more = {"segment": segment, "longest": longest, "rides": rides, **said}
    return {"name": name, "frame": frame.hex(), "key": key and key.hex(), "control": which, **more}


def full_handshakes() -> list[dict[str, Any]]:
    asks = {"epoch": MINE, "echo": 0, "room": 4 << 20, "messages": 1 << 16}
    answers = {"epoch": PEERS, "echo": MINE, "room": 5000, "messages": 3}
    entries = []
    for text, key in (("", None), (" with a key", FULL_KEY)):
        refusal = closed(bytes([0xD8, 1, 0, 0]) + little(MINE, 4), key)
        too_long = closed(bytes([0xD8, 5, 0xFF, 0xFF]) + little(MINE, 4) + little(1 << 20, 4), key)
        entries += [
            full_handshake("HELLO" + text, "HELLO", key, 65536, **asks),
            full_handshake("HELLO of one more link" + text, "HELLO", key, 1200, **{**asks, "echo": PEERS}),
            full_handshake("WELCOME" + text, "WELCOME", key, 300, **answers),
            full_handshake("HELLO that tells its longest message" + text, "HELLO", key, 64000, 1 << 20, **asks),
            full_handshake("WELCOME that tells its longest message" + text, "WELCOME", key, 64000, 65535, **answers),
            full_handshake("WELCOME of one that takes short messages" + text, "WELCOME", key, 300, 1000, **answers),
            full_handshake("HELLO of one that lets ACKs ride" + text, "HELLO", key, 64000, rides=True, **asks),
            {
                "name": "REFUSE" + text,
                "frame": refusal.hex(),
                "key": key and key.hex(),
                "control": "REFUSE",
                "refused": MINE,
            },
            {
                "name": "REFUSE of a message that was too long" + text,
                "frame": too_long.hex(),
                "key": key and key.hex(),
                "control": "REFUSE",
                "refused": MINE,
                "longest": 1 << 20,
            },
        ]
    return entries


def files() -> dict[str, str]:
    """The text of each file."""
    received = received_marked() + received_lengths() + received_cobs()
    framing = {"streams": good_streams(), "receive": received, "refuse": refused()}
    session = {"frames": session_frames(), "damaged": damaged_frames()}
    texts = {
        "framing.json": framing,
        "crc.json": {"crcs": crcs()},
        "challenge.json": {"challenges": challenges()},
        "session.json": session,
        "full.json": {"frames": full_frames(), "handshakes": full_handshakes()},
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in texts.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="ascii")
