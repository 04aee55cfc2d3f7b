"""A device of the demo, in a process of its own: ``python -m leadscomm.cli.demonstration.device NAME ENDPOINT ...``.

It is a node that listens there and answers every message. It says in one line where that is, and goes on until its
standard input ends, so that it ends with its parent however that ends.
"""

from __future__ import annotations

import json
import sys

from leadscomm.cli.demonstration.pulling import DEAD_AFTER_S
from leadscomm.cli.demonstration.report import ANSWER
from leadscomm.entities.callback import Callback
from leadscomm.entities.node import Node
from leadscomm.entities.service import Service


class Answer(Callback):
    """Says every message again."""

    def on_receive(self, service: Service, msg: bytes) -> None:
        sender = getattr(service, "sender", None)
        if sender is not None:
            sender.send(ANSWER + msg)

    def on_fail(self, service: Service, error: Exception) -> None:
        """What is lost is seen by those who count."""


def main(name: str, *places: str) -> None:
    """Answer until the input ends."""
    with Node(name, places, callback=Answer(), dead_after=DEAD_AFTER_S) as node:
        print(json.dumps([str(endpoint).partition("?")[0] for endpoint in node.listens]), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (KeyboardInterrupt, BrokenPipeError):  # the demo was ended while this device was starting
        pass
