"""What two peers agree on: bytes to messages and back, without any I/O."""

from leadscomm.protocol.framing import (
    DEFAULT_MAX_MESSAGE,
    DEFAULT_SEPARATOR,
    FAREWELL,
    FRAMINGS,
    MAX_DATAGRAM,
    BoardFraming,
    CobsFraming,
    DatagramFraming,
    Framing,
    FramingSpec,
    LengthFraming,
    LineFraming,
    SeparatorFraming,
    framing_options,
    make_framing,
    register_framing,
)
from leadscomm.protocol.framing.cobs import cobs_decode, cobs_encode
from leadscomm.protocol.framing.crc import Crc, crc

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
    "cobs_decode",
    "cobs_encode",
    "crc",
    "framing_options",
    "make_framing",
    "register_framing",
]
