"""A device that writes down what it carries out, for tests that kill it.

::

    python -m tests.examples.marking_device ENDPOINT FOLDER [JOURNAL]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from examples.task_executor.ledger import Ledger
from examples.task_executor.task_device import TaskDevice, Work
from leadscomm import Node


def main(endpoint: str, folder: str, durable: str | None = None) -> None:
    marks = os.open(Path(folder) / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def mark(work: Work, text: str) -> str:
        os.write(marks, f"{text}\n".encode())
        work.sleep(0.002)
        return text

    device = TaskDevice({"mark": mark}, Ledger(str(Path(folder) / "ledger")))
    with Node("arm", connect=[endpoint], callback=device, durable=durable) as node, device:
        node.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
