"""docs/endpoints.md lists every option of every scheme, with its default and its meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leadscomm import Endpoint
from leadscomm.connections import options
from leadscomm.connections.endpoint import SCHEMES
from leadscomm.protocol.framing import FRAMINGS, framing_options

PAGE = Path(__file__).resolve().parents[2].joinpath("docs", "endpoints.md").read_text(encoding="utf-8")
GROUPS = {
    name: group for name, group in vars(options).items() if name.isupper() and isinstance(group, dict) and len(name) > 2
}


def shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value}"


def row(name: str, option: options.Option) -> str:
    default = f"{option.default:o}" if name == "mode" else shown(option.default)
    return f"| `{name}` | {default} | {option.help} |"


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_has_its_row(group):
    missing = [row(name, option) for name, option in GROUPS[group].items() if row(name, option) not in PAGE]
    assert not missing, "docs/endpoints.md lacks\n" + "\n".join(missing)


def test_every_scheme_and_framing_is_named():
    for scheme in SCHEMES:
        assert f"`{scheme}://" in PAGE
    for framing, factory in FRAMINGS.items():
        if not factory.__module__.startswith("leadscomm."):
            continue  # of an example
        assert f"`{framing}`" in PAGE
        for option in framing_options(framing):
            assert f"`{option}`" in PAGE


def test_no_option_is_named_that_does_not_exist():
    known = {name for group in GROUPS.values() for name in group}
    known |= {name for framing in FRAMINGS for name in framing_options(framing)} | {"framing"}
    rows = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `") and "://" not in line]
    assert set(rows) == known


@pytest.mark.parametrize("url", [word for word in PAGE.replace("`", " ").split() if "://" in word and "…" not in word])
def test_the_urls_of_the_page_are_endpoints(url):
    scheme = url.partition("://")[0]
    if scheme in SCHEMES and not url.endswith("://"):
        Endpoint.parse(url.rstrip(".,;:)"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_table_of_schemes_tells_which_options_each_has(scheme):
    (found,) = re.findall(rf"^\| `{scheme}` \|(.*)\|$", PAGE, re.MULTILINE)
    place, framing, named = (cell.strip() for cell in found.split("|"))
    assert f"`{scheme}://" in place
    assert framing == f"`{SCHEMES[scheme].framing}`"
    said = {name for heading in named.split(", ") for name in GROUPS[heading.upper()]}
    assert said == SCHEMES[scheme].options.keys()
