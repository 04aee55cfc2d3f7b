"""Draws docs/img/demo.svg: the demo as it looks on a terminal, at the end of each of its two parts.

python -m tools.picture [SECONDS]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from xml.sax.saxutils import escape

from tools.running import ROOT

COLUMNS, ROWS = 80, 40
_GLYPH, _LINE, _MARGIN = 8.4, 18, 16
_STYLES = {"1": ' font-weight="bold"', "2": ' fill="#8b949e"'}
_FRAME = re.compile(r"\x1b\[\d+A|\x1b\[\?25[lh]")


def shown(seconds: str) -> list[list[str]]:
    """The last picture of each part, line by line, with the sequences that make text bold or dim."""
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "leadscomm", "demo", "--seconds", seconds]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment)
    os.close(slave)
    said = b""
    while data := _read(master):
        said += data
    os.close(master)
    if process.wait():
        sys.exit(f"the demo ended with {process.returncode}:\n{said.decode(errors='replace')}")
    text = said.decode().replace("\r", "").replace("\x1b[2K", "")
    frames = [frame for frame in _FRAME.split(text) if "leadscomm demo" in frame]
    first, second = (max(index for index, frame in enumerate(frames) if head in frame) for head in ("link ", "device "))
    return [_whole(frames[first]), _whole(frames[second])]


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # the demo has ended
        return b""


def _whole(frame: str) -> list[str]:
    """The lines of a frame, from one rule to the other."""
    lines = frame.split("\n")
    rules = [index for index, line in enumerate(lines) if line.startswith("─" * COLUMNS)]
    return lines[: rules[-1] + 1]


def drawing(lines: list[str]) -> str:
    """An SVG of these lines."""
    width, height = COLUMNS * _GLYPH + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN
    rows = "\n".join(
        f'<text x="{_MARGIN}" y="{_MARGIN + (index + 0.75) * _LINE:g}">{_styled(line)}</text>'
        for index, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace" '
        f'font-size="14" fill="#e6edf3" xml:space="preserve">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n{rows}\n</svg>\n'
    )


def _styled(line: str) -> str:
    parts = re.split(r"\x1b\[(\d+)m", line)
    pieces, style = [], "0"
    for index, part in enumerate(parts):
        if index % 2:
            style = part
        elif part:
            pieces.append(f"<tspan{_STYLES.get(style, '')}>{escape(part)}</tspan>")
    return "".join(pieces)


def main(arguments: list[str]) -> None:
    first, second = shown(arguments[0] if arguments else "6")
    target = ROOT / "docs" / "img" / "demo.svg"
    target.write_text(drawing([*first, "", *second]), encoding="utf-8")
    print(f"written: {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
