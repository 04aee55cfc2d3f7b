"""The C++ header of layouts: what both languages make of the same messages."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from leadscomm.hardware import companion
from leadscomm.hardware.board.layout import Layout, UpTo, u8
from leadscomm.hardware.header import declared_in, header
from tests.hardware.board.layouts import assignments, messages

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARY = ROOT / "arduino" / "LeadsComm" / "src"
STRICT = ("-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsanitize=address,undefined")
A_FEW, A_DOZEN = (st.tuples(*(messages(f"Message{i}") for i in range(count))) for count in (4, 12))
once = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.reuse])

PROGRAM = """
#include <stdio.h>

#include "messages.h"

float real(uint32_t bits) {{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}}

template <class Message>
void show(const Message &message) {{
  uint8_t space[Message::LONGEST];
  leadscomm::Writer out(space, sizeof space);
  if (!message.write(out)) printf("does not fit");
  for (size_t i = 0; i < out.size(); ++i) printf("%02x", out.data()[i]);
  printf("\\n");
  leadscomm::Writer little(space, out.size() - 1);
  if (message.write(little)) printf("fits into too little\\n");
  Message other;
  leadscomm::Reader in(out.data(), out.size() - 1);
  if (other.read(in)) printf("reads from too little\\n");
}}

int main() {{
{body}
  (void)real;
  return 0;
}}
"""


def in_cpp(sent: Sequence[Layout], folder: Path) -> list[str]:
    """What a C++ program writes of these messages: made there, and read there from what Python wrote."""
    body = ""
    for message in sent:
        name, data = type(message).__name__, message.pack()
        bytes_ = ", ".join(map(str, data))
        body += f"{{\n{name} message;\n{assignments(message)}\nshow(message);\n}}\n"
        body += f"{{\n{name} message;\nstatic const uint8_t data[] = {{{bytes_}}};\n"
        body += "leadscomm::Reader in(data, sizeof data);\n"
        body += 'if (message.read(in)) show(message); else printf("cannot be read\\n");\n}\n'
    (folder / "messages.h").write_text(header(*map(type, sent)), "utf-8")
    (folder / "main.cpp").write_text(PROGRAM.format(body=body), "utf-8")
    built = subprocess.run(
        ["g++", *STRICT, "-I", str(LIBRARY), "-o", "main", "main.cpp"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([folder / "main"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def both_languages_agree(sent: Sequence[Layout], folder: Path) -> None:
    expected = [line for message in sent for line in (message.pack().hex(), message.pack().hex())]
    assert in_cpp(sent, folder) == expected


@pytest.mark.needs("g++", "apt-get install g++")
@settings(once, max_examples=3)
@given(A_FEW)
def test_python_and_cpp_write_the_same(tmp_path_factory: pytest.TempPathFactory, sent: tuple[Layout, ...]) -> None:
    both_languages_agree(sent, tmp_path_factory.mktemp("cpp"))


@pytest.mark.slow
@pytest.mark.needs("g++", "apt-get install g++")
@settings(once, max_examples=20)
@given(A_DOZEN)
def test_python_and_cpp_write_the_same_of_many(
    tmp_path_factory: pytest.TempPathFactory, sent: tuple[Layout, ...]
) -> None:
    both_languages_agree(sent, tmp_path_factory.mktemp("cpp"))


class Gear(enum.IntEnum):
    """Where the lever is."""

    PARK = 0
    FOUR_WHEELS = 4


class Speed(Layout, number=0x21):
    """How fast it is.

    Of all wheels."""

    gear: Annotated[u8, "a Gear"]
    wheels: Annotated[list[u8], UpTo(4), "kilometres per hour"]


def test_names_and_comments_come_along() -> None:
    text = header(Gear, Speed)
    for line in (
        "#pragma once",
        "/// Where the lever is.\nenum class Gear : uint8_t { Park = 0, FourWheels = 4 };",
        "/// How fast it is.\n///\n/// Of all wheels.\nstruct Speed {",
        "  static constexpr uint8_t NUMBER = 0x21;",
        "  uint8_t gear;  ///< a Gear",
        "  uint8_t wheels_count;  ///< how many of wheels there are",
        "  uint8_t wheels[4];  ///< kilometres per hour",
    ):
        assert line in text


def test_two_fields_of_one_name_in_cpp_are_refused() -> None:
    twice = type("Twice", (Layout,), {"__annotations__": {"x": Annotated[bytes, UpTo(3)], "x_count": u8}})
    with pytest.raises(TypeError, match="two fields are called x_count"):
        header(twice)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "leadscomm.hardware.header", *arguments]
    return subprocess.run(program, capture_output=True, text=True, cwd=ROOT)


def test_the_companion_is_built_with_the_layouts_of_its_host() -> None:
    """The mend: python -m leadscomm.hardware.header leadscomm.hardware.companion > arduino/companion/messages.h"""
    text = (ROOT / "arduino" / "companion" / "messages.h").read_text("utf-8")
    assert command("leadscomm.hardware.companion").stdout == text
    assert companion.Order not in declared_in(companion)


def test_a_module_without_layouts_is_refused() -> None:
    assert "usage" in command().stderr
    said = command("leadscomm.version")
    assert said.returncode == 1
    assert "declares no layouts" in said.stderr
