"""Programs that use LEADS itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.interop.leads_peer import LeadsPeer


@pytest.fixture(params=["0.6.1", "0.9.7"])
def leads(request: pytest.FixtureRequest, leads_python: Callable[[str], str]) -> Iterator[LeadsPeer]:
    with LeadsPeer(leads_python(request.param), request.param) as peer:
        yield peer


@pytest.fixture
def newer(leads_python: Callable[[str], str]) -> Iterator[LeadsPeer]:
    """Another one, always of the newer version."""
    with LeadsPeer(leads_python("0.9.7")) as peer:
        yield peer
