"""Testing without hardware: boards that are emulated."""

from leadscomm.testing.virtual_board import VirtualBoard

__all__ = ["VirtualBoard"]
