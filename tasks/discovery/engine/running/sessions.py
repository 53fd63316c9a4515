"""A stored sign-in state as both ways of running use it: Playwright's ``storage_state``, and cookies out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import Cookie, CookieJar
from typing import Any

import httpx

from tasks.core.web_address import canonical, origin_of

StorageState = Mapping[str, Any]


def cookie_jar(state: StorageState | None) -> CookieJar:
    """Return the cookies of ``state`` in a jar of their own."""
    jar = CookieJar()
    for cookie in (state or {}).get("cookies", ()):
        jar.set_cookie(_cookie(cookie))
    return jar


def cookies_for(state: StorageState | None, url: str) -> dict[str, str]:
    """Return the names and values of the cookies that a request for ``url`` carries."""
    request = httpx.Request("GET", url)
    httpx.Cookies(cookie_jar(state)).set_cookie_header(request)
    return _pairs(request.headers.get("Cookie", ""))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A request hook of httpx: adds the cookies of a stored sign-in to what is asked of one origin, and of no other.

    Each hop of a redirect passes it anew. A cookie that the site has set since takes the place of the stored one.

    Args:
        origin: scheme, host and port, as ``origin_of`` writes them.
    """

    state: StorageState
    origin: str

    def __call__(self, request: httpx.Request) -> None:
        """Add the cookies."""
        url = canonical(str(request.url))
        if url is None or origin_of(url) != self.origin:
            return
        newer = _pairs(request.headers.get("Cookie", ""))
        pairs = cookies_for(self.state, url) | newer
        if pairs:
            request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in pairs.items())


def cookie(name: str, value: str, *, host: str) -> Cookie:
    """Return a cookie that is sent to ``host`` alone, until the jar is dropped."""
    return _cookie({"name": name, "value": value, "domain": host})


def _pairs(header: str) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in header.split("; ") if piece)
    return {name: value for name, _, value in pairs}


def _cookie(kept: Mapping[str, Any]) -> Cookie:
    domain, expires = str(kept["domain"]), kept.get("expires", -1)
    if "." not in domain and ":" not in domain:
        domain += ".local"  # as the jar itself writes a host without a dot
    return Cookie(
        version=0,
        name=kept["name"],
        value=kept["value"],
        port=None,
        port_specified=False,
        domain=domain,
        domain_specified=domain.startswith("."),
        domain_initial_dot=domain.startswith("."),
        path=kept.get("path", "/"),
        path_specified=True,
        secure=bool(kept.get("secure")),
        expires=None if expires in (-1, None) else int(expires),
        discard=expires in (-1, None),
        comment=None,
        comment_url=None,
        rest={},
    )
