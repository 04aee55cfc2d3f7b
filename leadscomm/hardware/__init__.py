"""Boards: their firmware compiled, uploaded and spoken to."""

from leadscomm.hardware.board.board import Board, BoardCounters, BoardInfo
from leadscomm.hardware.board.layout import Layout, UpTo, f32, i8, i16, i32, i64, u8, u16, u32, u64
from leadscomm.hardware.board.pins import Analog, Pin
from leadscomm.hardware.board.reports import Sample, Subscription
from leadscomm.hardware.companion import Mode, Status

__all__ = [
    "Analog",
    "Board",
    "BoardCounters",
    "BoardInfo",
    "Layout",
    "Mode",
    "Pin",
    "Sample",
    "Status",
    "Subscription",
    "UpTo",
    "f32",
    "i8",
    "i16",
    "i32",
    "i64",
    "u8",
    "u16",
    "u32",
    "u64",
]
