"""docs/endpoints.md shows the options as they are, and says of each scheme which it has."""

from __future__ import annotations

import re

import pytest

from leadscomm.connections import options
from leadscomm.connections.endpoint import SCHEMES
from leadscomm.connections.options import Option
from tests.docs.option_tables import GROUPS, PAGE, TABLE, renewed

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_options():
    assert renewed(TEXT) == TEXT, "run python tests/docs/option_tables.py"


def test_every_group_has_its_table_once():
    groups = [name for name, value in vars(options).items() if name.isupper() and isinstance(value, dict)]
    assert sorted(groups) == sorted(GROUPS)
    assert sorted(found[2] for found in TABLE.finditer(TEXT)) == sorted(GROUPS)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_the_table_of_schemes(scheme: str):
    """Each row names the groups of options beside those that every scheme has, by their headings."""
    (row,) = re.findall(rf"^\| `{scheme}` \|(.*)\|$", TEXT, re.MULTILINE)
    place, framing, named = (cell.strip() for cell in row.split("|"))
    assert f"`{scheme}://" in place
    assert f"`{SCHEMES[scheme].framing}`" == framing
    headings = {"TCP": "TCP", "TLS": "TLS", "UNIX": "Unix", "UDP": "UDP", "SERIAL": "serial", "KEYS": "keys", "SPIN": "spin"}
    has = SCHEMES[scheme].options
    groups: dict[str, Option] = {}
    for group, heading in headings.items():
        inside = set(getattr(options, group)) <= set(has)
        assert (heading in re.split(r", ", named)) is inside, group
        if inside:
            groups |= getattr(options, group)
    assert groups.keys() == has.keys()
