"""What a page loads is told from what it links to."""

from __future__ import annotations

import pytest

from tools.pages import loaded_from_elsewhere


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<img src="//cdn.example/a.png">',
        '<img srcset="a.png 1x, http://cdn.example/a.png 2x">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<link href="https://fonts.example/a.css" rel="stylesheet">',
        '<p style="background: url(http://cdn.example/a.png)">',
        "<style>@import 'https://fonts.example/a.css';</style>",
        "<iframe src=https://example.org></iframe>",
    ],
)
def test_what_comes_from_elsewhere_is_found(html: str) -> None:
    (url,) = loaded_from_elsewhere(html)
    assert "example" in url


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org">there</a>',
        '<script src="assets/a.js"></script><link rel="stylesheet" href="../a.css">',
        '<img src="data:image/png;base64,AA">',
        '<link rel="canonical" href="https://example.org/page.html">',
        "<code>url(https://example.org)</code>",
    ],
)
def test_what_is_ours_or_only_a_link_is_not(html: str) -> None:
    assert loaded_from_elsewhere(html) == []
