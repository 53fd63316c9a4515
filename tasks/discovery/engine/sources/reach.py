"""Which addresses a tool of a site may have: absolute, of the web, and none that a person would not expect there."""

import ipaddress
from urllib.parse import urlsplit

import ada_url

MAX_URL_CHARS = 2000

# What a public site's description cannot mean for its visitors.
_PRIVATE_ENDINGS = ("localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa")


def resolved(reference: str, *, base: str) -> str | None:
    """Return the reference as an absolute address without fragment, by the WHATWG's rules.

    None for what is not http(s), is too long, or carries a name and password.
    """
    if len(reference) > MAX_URL_CHARS or len(base) > MAX_URL_CHARS:
        return None
    try:
        url = ada_url.URL(reference, base=base)
    except (ValueError, UnicodeError):
        return None
    if url.protocol not in ("http:", "https:") or url.username or url.password:
        return None
    url.hash = ""
    return str(url.href)


def origin_of(url: str) -> str:
    """Return ``scheme://host[:port]`` of an absolute address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def path_of(url: str) -> str:
    """Return the path of an absolute address: what its words are judged by, since a host is only a name."""
    return urlsplit(url).path


def is_other_host(url: str, *, site: str) -> bool:
    """Whether the address is of another host than the site; ``www.`` makes no difference."""
    return _host(url) != _host(site)


def is_expected(url: str, *, site: str) -> bool:
    """Whether a site may send its visitors to this address without surprising them.

    Refused: leaving encryption, and hosts of private networks that are not the site's own.
    """
    there, here = urlsplit(url), urlsplit(site)
    if here.scheme == "https" and there.scheme != "https":
        return False
    return not is_other_host(url, site=site) or not _is_private(_host(url))


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)
    return True
