"""Sites of knowledge, as people name them."""

import shlex

import click

_BEHIND_A_HOST = frozenset("/\\?#@")


def site_named(_context: click.Context, _parameter: click.Parameter, said: str | None) -> str | None:
    """Return the name of a site in lower case; of an address its host, which is how a crawl names its site.

    The host is spelled as browsers do it (WHATWG URL): letters beyond ASCII in Punycode, without the scheme's own port
    and whoever signs in. A name beyond ASCII can only be a host.

    Raises:
        click.BadParameter: it is an address without a host.
    """
    if said is None:
        return None
    if "://" in said:
        host = _host_of(said)
        if not host:
            raise click.BadParameter(f"{said!r} names no host; give one, such as docs.example.org")
        return host
    # What is no host either, the server tells what a name may be.
    host = "" if said.isascii() or _BEHIND_A_HOST & set(said) else _host_of(f"http://{said}")
    return host or said.lower()


def _host_of(address: str) -> str:
    """Return host and port (where not the default) of an address; nothing of what is none."""
    import ada_url  # noqa: PLC0415  # takes 16 ms, which most commands have no use for

    try:
        return str(ada_url.URL(address).host).lower()
    except ValueError:  # also UnicodeEncodeError, for lone surrogates
        return ""


def how_to_ask(site: str) -> str:
    """Return the command that asks a site, as a shell takes it."""
    # A name that begins with a hyphen would be read as an option.
    apart = "-- " if site.startswith("-") else ""
    return f'switchyard search {apart}{shlex.quote(site)} "…"'
