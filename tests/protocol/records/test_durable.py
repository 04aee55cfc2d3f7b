"""Records of the toolkit itself, to bytes and back."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.records.durable import DURABLE, DURABLE_OVERHEAD, Durable, kind_of, read_durable
from leadscomm.protocol.session.full.prefixed import Separator

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "full.json").read_text(encoding="ascii"))


@given(st.binary(min_size=8, max_size=8), st.integers(0, (1 << 64) - 1), st.binary(max_size=50))
def test_durable_messages_are_read_as_written(origin: bytes, seq: int, payload: bytes) -> None:
    durable = Durable(origin, seq, payload)
    record = durable.record()
    assert kind_of(record) == DURABLE
    assert read_durable(record) == durable
    assert all(read_durable(record[:end]) is None for end in range(DURABLE_OVERHEAD))
    assert read_durable(b"\2" + record[1:]) is None


def test_an_empty_record_has_no_kind() -> None:
    assert kind_of(b"") == 0


def test_the_golden_one() -> None:
    (case,) = (case for case in VECTORS["frames"] if case["name"] == "a record")
    (record,) = Separator(100).feed(bytes.fromhex(case["payload"]))
    assert read_durable(record) == (bytes(range(8)), 1, b"hi")
