"""Names of sites, as people type them and as a shell takes them."""

import shlex

import click
import pytest

from client.command.site_names import how_to_ask, site_named


def named(said: str | None) -> str | None:
    command = click.Command("x")
    return site_named(click.Context(command), click.Argument(["site"]), said)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("docs.example.org", "docs.example.org"),
        ("Docs.Example.org", "docs.example.org"),
        ("https://Docs.example.org:8443/a/b?c", "docs.example.org:8443"),
        ("http://[::1]:8000/", "[::1]:8000"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("r&d!.example", "r&d!.example"),
        ("é" * 80, "é" * 80),
        (None, None),
    ],
)
def test_site_is_named_by_its_host_or_its_address(said: str | None, name: str | None) -> None:
    """As the crawl of it names it; what is no name is left to the server."""
    assert name == named(said)


@pytest.mark.parametrize("said", ["https://", "http://[::1/"])
def test_address_without_a_host_is_refused(said: str) -> None:
    """With what was said, and what to say."""
    with pytest.raises(click.BadParameter, match=r"names no host; give one, such as docs\.example\.org"):
        named(said)


@pytest.mark.parametrize("site", ["docs.example.org", "r&d!.example", "it's.example", "-a.example"])
def test_a_shell_takes_the_command_that_asks(site: str) -> None:
    """Whatever the host is written with."""
    assert site == shlex.split(how_to_ask(site))[-2]
    assert site[0] != "-" or "--" in shlex.split(how_to_ask(site))
