"""Sites of knowledge, as people name them."""

import shlex
from urllib.parse import urlsplit

import click


def site_named(_context: click.Context, _parameter: click.Parameter, said: str | None) -> str | None:
    """Return the name of a site in lower case; of an address its host, which is how a crawl names its site.

    Letters beyond ASCII are spelled as addresses do it.

    Raises:
        click.BadParameter: it is an address without a host.
    """
    if said is None:
        return None
    name = said
    if "://" in said:
        try:
            name = urlsplit(said).netloc
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"{said!r} names no host; give one, such as docs.example.org")
    try:
        return name.lower() if name.isascii() else name.lower().encode("idna").decode()
    except UnicodeError:  # a label of over 63 letters, say: the server tells what a name may be
        return name.lower()


def how_to_ask(site: str) -> str:
    """Return the command that asks a site, as a shell takes it."""
    # A name that begins with a hyphen would be read as an option.
    apart = "-- " if site.startswith("-") else ""
    return f'switchyard search {apart}{shlex.quote(site)} "…"'
