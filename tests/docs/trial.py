"""One block put to the test, alone or beside the one that it needs."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.blocks import BadMarkup, Block, commands_of
from tests.docs.runner import started

TEXT = ("text", "mermaid", "cpp", "c", "ino", "yaml", "markdown", "diff")  # what nothing here can run or parse


def run(block: Block, folder: Path) -> str:
    """Run a block, with the one that it needs beside it; return what it printed."""
    if "with" in block.directives:
        other = block.nearest_above("blocks")
        with started(command_of(other, folder), folder, other.place) as beside:
            beside.wait_until_up()
            said = run_alone(block, folder)
            beside.stop()
            return said
    return run_alone(block, folder)


def run_alone(block: Block, folder: Path) -> str:
    with started(command_of(block, folder), folder, block.place) as program:
        if "blocks" in block.directives:
            program.wait_until_up()
            program.stop()
            return program.said()
        code, said = program.wait(), program.said()
    if "raises" in block.directives:
        last = said.strip().splitlines()[-1:] or [""]
        error = last[0].partition(":")[0].rpartition(".")[2]
        assert code == 1, f"{block.place} was to end with {block.directives['raises']}:\n{said}"
        assert error == block.directives["raises"], f"{block.place} ended with another error:\n{said}"
    else:
        assert code == 0, f"{block.place} ended with {code}:\n{said}"
        assert "Traceback" not in said, f"{block.place} complained:\n{said}"
    return said


def command_of(block: Block, folder: Path) -> list[str]:
    """What runs a block: its text in a file, the lines counted as in the page."""
    file = folder / (block.place.replace("/", "_").replace(":", "_") + ".txt")
    if block.language == "python":
        file.write_text(block.program(), encoding="utf-8")
        return [sys.executable, "-W", "error::DeprecationWarning", str(file)]
    commands = commands_of(block.code)
    if not commands:
        raise BadMarkup(f"{block.place}: a console block has commands, each after '$ '")
    file.write_text("\n".join(commands) + "\n", encoding="utf-8")
    return ["bash", "-e", str(file)]


def look_at(block: Block) -> None:
    """What is not run is parsed, where the standard library can."""
    if block.language == "json":
        json.loads(block.code)
    elif block.language == "toml":
        if importlib.util.find_spec("tomllib") is None:
            pytest.skip("Python 3.10 has no parser for TOML; a later one does this")
        importlib.import_module("tomllib").loads(block.code)
    elif block.language == "ini":
        configparser.ConfigParser().read_string(block.code)
    elif block.language == "xml":
        ElementTree.fromstring(block.code)
    elif block.language in ("sh", "bash"):
        subprocess.run(["bash", "-n"], input=block.code.encode(), check=True)
    else:
        assert block.language in TEXT, f"{block.place}: write python, console, json, toml, ini, xml, sh or {TEXT}"
