"""Words for people: what of Markdown stays in a terminal."""

import pytest

from client.command.plain import unlinked


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("See [the `lru_cache`](https://a.example/x_(y)?z#f), or [this].", "See the `lru_cache`, or [this]."),
        ("![A pump](/pump.png) and f(x)[0](y)", "A pump and f(x)[0](y)"),
        ("[cut](https://a.exam", "[cut](https://a.exam"),
    ],
)
def test_links_are_their_words(markdown: str, shown: str) -> None:
    """Their addresses would hide the sentence; what is cut off stays."""
    assert shown == unlinked(markdown)
