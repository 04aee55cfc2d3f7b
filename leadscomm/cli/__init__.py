"""The ``leadscomm`` command."""

from leadscomm.cli.commands import main

__all__ = ["main"]
