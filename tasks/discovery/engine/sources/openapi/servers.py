"""Where a specification says that its operations are: the address before their paths."""

import re
from typing import Any
from urllib.parse import urlsplit

from tasks.discovery.engine.sources.openapi.specification import Specification, list_of, object_of
from tasks.discovery.engine.sources.reach import is_expected, is_other_host, origin_of, resolved

_MAX_SERVERS = 10


def server_url(spec: Specification, servers: tuple[Any, ...], *, site: str) -> str | None:
    """Return the first server that visitors of ``site`` may expect, one of the site's own host before others.

    Without a slash at the end. None where every server that is named is refused.
    """
    named = _swagger_servers(spec, site=site) if spec.is_swagger else _servers(spec, servers)
    found = [url for name in named[:_MAX_SERVERS] if (url := _absolute(name, spec=spec, site=site))]
    found.sort(key=lambda url: is_other_host(url, site=site))
    return found[0] if found else None


def _servers(spec: Specification, own: tuple[Any, ...]) -> list[str]:
    named = own or tuple(list_of(spec.raw, "servers"))
    return [_with_variables(server) for server in named if isinstance(server, dict)] if named else ["/"]


def _with_variables(server: dict[str, Any]) -> str:
    variables = object_of(server, "variables")

    def value(match: re.Match[str]) -> str:
        return str(object_of(variables, match[1]).get("default", match[0]))

    url = server.get("url")
    return re.sub(r"\{([^{}]{1,100})\}", value, url[:2000]) if isinstance(url, str) else "{}"


def _swagger_servers(spec: Specification, *, site: str) -> list[str]:
    here = urlsplit(spec.url)
    host, base = spec.raw.get("host"), spec.raw.get("basePath")
    netloc = host if isinstance(host, str) and re.fullmatch(r"[\w.:\[\]-]{1,250}", host) else here.netloc
    path = f"/{base.strip('/')}" if isinstance(base, str) else ""
    schemes = [item for item in list_of(spec.raw, "schemes") if item in ("http", "https")]
    # A port speaks one scheme: the one that the document came by.
    if not schemes or (netloc == here.netloc and ":" in netloc):
        schemes = [here.scheme]
    schemes.sort(key=lambda scheme: scheme != urlsplit(site).scheme)
    return [f"{scheme}://{netloc}{path}" for scheme in schemes]


def _absolute(url: str, *, spec: Specification, site: str) -> str | None:
    absolute = None if "{" in url or "}" in url else resolved(url, base=spec.url)
    if absolute is None:
        return None
    if absolute.startswith("http:") and origin_of(absolute) == origin_of(site).replace("https:", "http:"):
        # Servers behind a proxy often do not know that they are reached by https.
        absolute = absolute.replace("http:", f"{urlsplit(site).scheme}:", 1)
    bare = absolute.partition("?")[0].rstrip("/")
    return bare if is_expected(bare, site=site) else None
