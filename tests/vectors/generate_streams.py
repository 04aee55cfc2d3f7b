"""Writes streams.json: ``python tests/vectors/generate_streams.py``.

It uses nothing of leadscomm. docs/wire-protocol.md describes the file, and the records in its section "Streams".
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SAID = ("OFFER", "DATA", "END", "DROP", "ACCEPT", "GOT", "DONE", "REFUSE")


def little(value: int, size: int) -> bytes:
    return bytes(value >> 8 * place & 255 for place in range(size))


def record(name: str, what: str, number: int, body: bytes, **said: Any) -> dict[str, Any]:
    data = bytes([2, SAID.index(what)]) + little(number, 4) + body
    return {"name": name, "record": data.hex(), "what": what, "number": number, **said}


def offer(name: str, number: int, size: int | None, called: str, repeatable: bool) -> dict[str, Any]:
    body = bytes([repeatable]) + (b"\xff" * 8 if size is None else little(size, 8)) + called.encode()
    return record(name, "OFFER", number, body, size=size, called=called, repeatable=repeatable)


def given_up(name: str, what: str, number: int, code: int, reason: str) -> dict[str, Any]:
    return record(name, what, number, bytes([code]) + reason.encode(), code=code, reason=reason)


def accept(name: str, number: int, offset: int, credit: int, before: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(before).digest()
    body = little(offset, 8) + little(credit, 4) + digest
    return record(name, "ACCEPT", number, body, offset=offset, credit=credit, digest=digest.hex())


def data(name: str, number: int, offset: int, payload: bytes) -> dict[str, Any]:
    return record(name, "DATA", number, little(offset, 8) + payload, offset=offset, payload=payload.hex())


def end(name: str, number: int, size: int, whole: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(whole).digest()
    return record(name, "END", number, little(size, 8) + digest, size=size, digest=digest.hex())


def got(name: str, number: int, offset: int) -> dict[str, Any]:
    return record(name, "GOT", number, little(offset, 8), offset=offset)


def records() -> list[dict[str, Any]]:
    big = (1 << 40) + 5
    return [
        offer("a file", 1, 11, "hello.txt", True),
        offer("of unknown size, and not to be read twice", 2, None, "", False),
        offer("a name that is not ASCII", 0xFFFFFFFF, 0, "größe.txt", True),
        offer("more than fits into memory", 3, big, "a/b", True),
        accept("from the beginning", 1, 0, 4 << 20, b""),
        accept("from the middle", 1, 6, 1, b"hello "),
        data("a piece", 1, 6, b"world"),
        data("far into it", 3, big - 256, bytes(range(256))),
        got("so far it is written", 1, 6),
        got("far into it", 3, big),
        end("all of it", 1, 11, b"hello world"),
        end("all of nothing", 5, 0, b""),
        record("it is there", "DONE", 1, b""),
        given_up("given up by its sender", "DROP", 1, 1, "cancelled"),
        given_up("given up without a reason", "DROP", 1, 3, ""),
        given_up("not wanted", "REFUSE", 1, 2, "nobody wants it"),
        given_up("no room for it", "REFUSE", 1, 3, "Kein Speicherplatz übrig"),
    ]


def cut_off() -> list[dict[str, str]]:
    """What a receiver of records must not take."""
    entries = []
    for entry in (offer("", 1, 11, "", True), accept("", 1, 0, 1, b""), data("", 1, 6, b""), got("", 1, 6),
                  end("", 1, 0, b""), given_up("", "DROP", 1, 1, ""), given_up("", "REFUSE", 1, 1, "")):  # fmt: skip
        entries.append({"name": f"{entry['what']} without its last byte", "record": entry["record"][:-2]})
    return [*entries, {"name": "half a number", "record": "02060100"}]


def conversation(name: str, *said: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "records": [[who, entry["record"]] for who, entry in said]}


def conversations() -> list[dict[str, Any]]:
    """Whole streams, as a sender and a receiver must speak: pieces of 6 bytes, and 12 of credit."""
    whole, other = b"hello, wide world", b"howdy"
    size = len(whole)

    def sent(offset: int) -> list[tuple[str, dict[str, Any]]]:
        pieces = []
        for at in range(offset, size, 6):
            piece = whole[at : at + 6]
            pieces += [("sender", data("", 1, at, piece)), ("receiver", got("", 1, at + len(piece)))]
        return [*pieces, ("sender", end("", 1, size, whole)), ("receiver", record("", "DONE", 1, b""))]

    def whole_stream(name: str, there: bytes, begins_at: int) -> dict[str, Any]:
        offered, accepted = offer("", 1, size, "x", True), accept("", 1, len(there), 12, there)
        return conversation(name, ("sender", offered), ("receiver", accepted), *sent(begins_at))

    return [
        whole_stream("from the beginning", b"", 0),
        whole_stream("the first seven bytes are there", whole[:7], 7),
        whole_stream("something else is there", other, 0),
        whole_stream("all of it is there", whole, size),
    ]


def files() -> dict[str, str]:
    """The text of each file."""
    content = {"records": records(), "cut_off": cut_off(), "conversations": conversations()}
    return {"streams.json": json.dumps(content, indent=1) + "\n"}


if __name__ == "__main__":
    for file_name, text in files().items():
        (HERE / file_name).write_text(text, encoding="ascii")
