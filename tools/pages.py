"""A hook of mkdocs, named in mkdocs.yml: a page that would load anything from elsewhere does not pass.

Readers of the pages tell nobody that they read, and need no network. Links may lead anywhere; it is scripts, styles,
fonts, images and the like that are looked for. What is wrong is a warning, and ``--strict`` makes an error of it.
"""

from __future__ import annotations

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_log = logging.getLogger("mkdocs.plugins.pages")  # the warnings below this name are counted
OF_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""")
ONLY_SAY = {"canonical", "next", "prev", "author", "license"}
"""What a ``<link>`` may be without being loaded."""


def on_post_page(output: str, page: Any, **kwargs: Any) -> None:
    for url in loaded_from_elsewhere(output):
        _log.warning(f"{page.file.src_uri} loads {url} from elsewhere; put it into docs/, or leave it out")


def on_post_build(config: Any, **kwargs: Any) -> None:
    for sheet in Path(config.site_dir).rglob("*.css"):
        for url in filter(is_elsewhere, OF_STYLES.findall(sheet.read_text(encoding="utf-8"))):
            _log.warning(f"{sheet} loads {url} from elsewhere; put it into docs/, or leave it out")


def loaded_from_elsewhere(html: str) -> list[str]:
    """The addresses of other machines that a browser would ask as soon as it shows this page."""
    loads = Loads()
    loads.feed(html)
    return [url for url in loads.found if is_elsewhere(url)]


def is_elsewhere(url: str) -> bool:
    return bool(urlsplit(url).netloc)


class Loads(HTMLParser):
    """Collects what a page loads: the address of everything but of links that are to be clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.found += OF_STYLES.findall(said.get("style", ""))
        self.found += [candidate.split()[0] for candidate in said.get("srcset", "").split(",") if candidate.strip()]
        self.found += [said[name] for name in ("src", "poster", "data") if name in said]
        if tag == "link" and not ONLY_SAY.intersection(said.get("rel", "").split()):
            self.found.append(said.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += OF_STYLES.findall(data)
