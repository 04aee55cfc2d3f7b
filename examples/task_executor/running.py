"""What the programs with tasks have in common: their command line, and how they run a node."""

from __future__ import annotations

import argparse
import logging
from contextlib import AbstractContextManager

from leadscomm import Node

log = logging.getLogger("task_executor")


def parser(description: str) -> argparse.ArgumentParser:
    """A command line with a name and endpoints."""
    words = argparse.ArgumentParser(description=description)
    words.add_argument("name", help="what the others call it")
    for option, help_ in (("--listen", "where to listen"), ("--connect", "where to dial")):
        words.add_argument(option, action="append", default=[], metavar="ENDPOINT", help=f"{help_}; may be repeated")
    return words


def run(node: Node, callback: AbstractContextManager[object]) -> int:
    """Run a node and its callback until Ctrl-C; return the exit code."""
    try:
        with node, callback:
            node.join()
    except KeyboardInterrupt:
        log.info("ended by Ctrl-C")
        return 0
    return 1
