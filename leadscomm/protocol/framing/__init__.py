"""Byte streams cut into messages, and messages made bytes: one codec a file, and the table of their names."""

from leadscomm.protocol.framing.base import DEFAULT_MAX_MESSAGE, Framing, plain
from leadscomm.protocol.framing.board import BoardFraming
from leadscomm.protocol.framing.cobs import CobsFraming, cobs_decode, cobs_encode
from leadscomm.protocol.framing.crc import Crc, crc
from leadscomm.protocol.framing.length import MAX_DATAGRAM, DatagramFraming, LengthFraming, WholeFraming
from leadscomm.protocol.framing.registry import (
    FRAMINGS,
    FramingSpec,
    framing_options,
    make_framing,
    parse_size,
    register_framing,
)
from leadscomm.protocol.framing.separated import DEFAULT_SEPARATOR, FAREWELL, LineFraming, SeparatorFraming

__all__ = [
    "DEFAULT_MAX_MESSAGE",
    "DEFAULT_SEPARATOR",
    "FAREWELL",
    "FRAMINGS",
    "MAX_DATAGRAM",
    "BoardFraming",
    "CobsFraming",
    "Crc",
    "DatagramFraming",
    "Framing",
    "FramingSpec",
    "LengthFraming",
    "LineFraming",
    "SeparatorFraming",
    "WholeFraming",
    "cobs_decode",
    "cobs_encode",
    "crc",
    "framing_options",
    "make_framing",
    "parse_size",
    "plain",
    "register_framing",
]
