"""Names of sites, as people type them and as a shell takes them."""

import shlex

import click
import pytest

from client.command.site_names import how_to_ask, site_named
from tasks.core.clock import now
from tasks.core.web_address import canonical
from tasks.knowledge.crawled import crawl_of


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
        ("Straße.example", "xn--strae-oqa.example"),
        ("é é", "é é"),
        ("é/x", "é/x"),
        (None, None),
    ],
)
def test_site_is_named_by_its_host_or_its_address(said: str | None, name: str | None) -> None:
    """As the crawl of it names it; what is no name is left to the server."""
    assert name == named(said)


@pytest.mark.parametrize(
    "address",
    [
        *("https://docs.example.org:443/guide", "http://Example.org:80", "https://example.org:80/"),
        *("https://straße.example/", "https://faß.example", "http://BÜCHER.example:8080", "http://ex%61mple.org/a"),
        *("http://127.1/", "http://0x7f.1:8000/", "http://[0:0::1]:8000/", "https://example.org./"),
    ],
)
def test_an_address_is_the_site_that_a_crawl_of_it_makes(address: str) -> None:
    """However its host is written: by the crawler's own reading of it."""
    spelled = canonical(address)
    assert spelled is not None
    crawl = crawl_of("job", {"start_url": spelled}, finished_at=now())
    assert crawl.site == named(address)


def test_who_signs_in_is_no_part_of_the_name() -> None:
    """A crawl takes no such address; that of the same host is meant."""
    assert "docs.example.org" == named("https://user:secret@Docs.example.org/")


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
