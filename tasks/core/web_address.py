"""One spelling per URL, so that a page is fetched once."""

import re

import ada_url

MAX_URL_CHARS = 2048

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


# A request for one of these never brings a page; sparing it is politeness.
_NOT_PAGES = frozenset(
    f".{ending}"
    for endings in (
        ("avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"),
        ("avi", "flac", "m4a", "mkv", "mov", "mp3", "mp4", "mpeg", "ogg", "wav", "webm", "wmv"),
        ("7z", "bz2", "deb", "dmg", "exe", "gz", "iso", "jar", "msi", "rar", "rpm", "tar", "tgz", "xz", "zip"),
        ("csv", "doc", "docx", "epub", "json", "odt", "pdf", "ppt", "pptx", "xls", "xlsx"),
        ("css", "eot", "js", "otf", "ttf", "woff", "woff2"),
    )
    for ending in endings
)


def canonical(url: str, *, base: str | None = None) -> str | None:
    """Return the canonical spelling of an http(s) URL, or None for what a crawler cannot fetch.

    Parsed as browsers do (WHATWG URL): lower-case scheme and host, punycode, no default port, dot segments
    resolved. Then RFC 3986 6.2.2: escapes of unreserved characters decoded, the others upper case. The fragment and
    an empty query are dropped. None for other schemes, user names, broken URLs and those over 2048 characters.
    """
    try:
        # One call for the whole address: one for each of its parts costs four times as much.
        href = ada_url.URL(url.strip(), base).href.partition("#")[0]
    except ValueError:  # also UnicodeEncodeError, for lone surrogates
        return None
    scheme, _, rest = href.partition("://")
    host, _, target = rest.partition("/")
    if scheme not in {"http", "https"} or "@" in host:
        return None
    if target.find("?") == len(target) - 1:  # an empty query
        target = target[:-1]
    spelled = f"{scheme}://{host}/{_normal_escapes(target)}"
    return spelled if len(spelled) <= MAX_URL_CHARS else None


def origin_of(url: str) -> str:
    """Return scheme, host and port of a canonical URL; robots.txt and politeness hold per origin."""
    return "/".join(url.split("/", 3)[:3])


def host_of(url: str) -> str:
    """Return host and port (where not the default) of a canonical URL."""
    return url.split("/", 3)[2]


def target_of(url: str) -> str:
    """Return path and query of a canonical URL."""
    return "/" + url.split("/", 3)[3]


def is_page_like(url: str) -> bool:
    """Tell whether the path's ending leaves open that a page is there; False for images, archives and so on."""
    name = target_of(url).partition("?")[0].rstrip("/").rpartition("/")[2]
    dot = name.rfind(".")
    return dot <= 0 or name[dot:].lower() not in _NOT_PAGES


def _normal_escapes(text: str) -> str:
    return _ESCAPE.sub(_normal_escape, text) if "%" in text else text


def _normal_escape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()
