"""Words for people: what of Markdown stays in a terminal."""

import pytest

from client.command.plain import unlinked


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("See [the `lru_cache`](https://a.example/x_(y)?z#f), or [this].", "See the `lru_cache`, or [this]."),
        ("![A pump](/pump.png) and f(x)[0](y)", "A pump and f(x)[0](y)"),
        ("[cut](https://a.exam", "[cut](https://a.exam"),
        ("[a](docs/y.md) [b](y.html#z) ![c](pump.png), [d](?page=2) [e](../up)", "a b c, d e"),
        ('[a](https://a.example "A title (of it)"), [b](/b \'its "name"\') [c](x.md (why))', "a, b c"),
        ('[a](<https://a.example/with (spaces)>) [b](</b c> "d") [c](<notes.md>)', "a b c"),
        (
            "[see [1] and [2]](https://a.example), [a \\[b](/x) [![A pump](/p.png)](/pumps)",
            "see [1] and [2], a \\[b A pump",
        ),
        (
            "handlers[0](event.data) x[i][j](a/b) call(x)[1](y.z)",
            "handlers[0](event.data) x[i][j](a/b) call(x)[1](y.z)",
        ),
        ("[x](y) [ ] (a/b) []", "[x](y) [ ] (a/b) []"),
    ],
)
def test_links_are_their_words(markdown: str, shown: str) -> None:
    """Their addresses would hide the sentence; what is cut off stays."""
    assert shown == unlinked(markdown)
