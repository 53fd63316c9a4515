"""What is to be known of a page before it is worked on, found once for each content."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tasks.publishing.engine import references
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.references import Reference, Use
from tasks.publishing.engine.tree import SiteFile

PAGES = (".html", ".htm")
_HTML = re.compile(rb"<\s*(!doctype|html|head|body|title|p|div|h[1-6]|a|script|table|meta)\b", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{1,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_NOINDEX = re.compile(r"<meta\s[^>]*\bname\s*=\s*[\"']?robots[\"'\s][^>]*noindex", re.IGNORECASE)
_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_INDEX_NAME = re.compile(r"(^|/)index\.html?$")
_HIDDEN_WITHIN = 20_000
_USES = {use.value: use for use in Use}


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Args:
        is_html: there is an element in it, or nothing at all.
        is_text: it is in UTF-8; where it is not, nothing else is known.
        charset: what it says of itself.
        is_hidden: search engines are not to show it.
        head: where in its text the head's content begins.
        targets: what it refers to, each once whatever the fragment, by the first such URL.
        checked: the URLs of which it says which bytes it expects.
    """

    is_html: bool
    is_text: bool
    charset: str | None
    is_hidden: bool
    head: int | None
    targets: tuple[tuple[str, Use], ...]
    checked: tuple[str, ...]


def is_page(path: str) -> bool:
    """Tell by its path whether a file is a page."""
    return path.lower().endswith(PAGES)


def without_index(path: str) -> str:
    """Return a page's path as visitors write it: that of a folder's index is the folder's own."""
    return _INDEX_NAME.sub(r"\1", path)


def address_of(url: str, path: str) -> str:
    """Return where visitors of a site at ``url`` find a page."""
    base = url if url.endswith("/") else url + "/"
    return base + quote(without_index(path))


def pages_of(
    tree: Mapping[str, SiteFile], memo: Memo, checkpoint: Callable[[], None] = lambda: None
) -> dict[str, Page]:
    """Return what is known of the pages among these files, by their paths."""
    found = {}
    for path, file in tree.items():
        checkpoint()
        if is_page(path):
            found[path] = _page_of(file, memo)
    return found


def _page_of(file: SiteFile, memo: Memo) -> Page:
    raw = json.loads(memo.made("page", file.key, lambda: _json(_look_at(file.read()))))
    targets = tuple((url, _USES[use]) for url, use in raw.pop("targets"))
    return Page(**raw | {"targets": targets, "checked": tuple(raw["checked"])})


def packed(found: Iterable[Reference]) -> bytes:
    """Write references down."""
    return _json([(one.start, one.end, one.url, one.use, one.is_checked, one.is_in_srcset) for one in found])


def unpacked(text: bytes) -> list[Reference]:
    """Read what ``packed`` wrote."""
    return [
        Reference(start, end, url, _USES[use], is_checked, is_in_srcset)
        for start, end, url, use, is_checked, is_in_srcset in json.loads(text)
    ]


def _look_at(content: bytes) -> dict[str, Any]:
    charset = _CHARSET.search(content[:4096])
    page: dict[str, Any] = {
        "is_html": not content or _HTML.search(content) is not None,
        "is_text": True,
        "charset": charset.group(1).decode().lower() if charset else None,
        "is_hidden": False,
        "head": None,
        "targets": [],
        "checked": [],
    }
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # A page in another encoding may be hidden all the same: what is asked for is ASCII.
        text = content.decode(errors="replace")
        return page | {"is_text": False, "is_hidden": _NOINDEX.search(text[:_HIDDEN_WITHIN]) is not None}
    head = _HEAD.search(text)
    found = references.in_page(text)
    targets: dict[tuple[str, Use], str] = {}
    for one in found:
        targets.setdefault((one.url.partition("#")[0], one.use), one.url)
    return page | {
        "is_hidden": _NOINDEX.search(text[:_HIDDEN_WITHIN]) is not None,
        "head": head.end() if head else None,
        "targets": [(url, use) for (_, use), url in targets.items()],
        "checked": list(dict.fromkeys(one.url for one in found if one.is_checked)),
    }


def _json(value: object) -> bytes:
    # Attributes without a character of their own, such as a lone surrogate, survive ASCII.
    return json.dumps(value, separators=(",", ":")).encode()
