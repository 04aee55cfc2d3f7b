"""``python -m tests.fuzz.guided TARGET [OPTIONS OF LIBFUZZER]``: a run that coverage guides, by means of atheris."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["leadscomm.protocol", "leadscomm.hardware.board.layout"]):
    from .targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
