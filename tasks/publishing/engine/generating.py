"""Makes what a site lacks: a sitemap, robots.txt, a page for 404, actions, speculation rules, preload hints.

Nothing that is there is replaced, and nothing has a date or a number of its own in it: the same site again is the same
release.
"""

import json
import posixpath
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from xml.sax.saxutils import escape as xml_escape

from tasks.publishing.engine import references
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import Page, address_of, without_index
from tasks.publishing.engine.references import Use
from tasks.publishing.engine.tree import SiteFile, Tree, inserted, of_bytes

SITEMAP, ROBOTS, NOT_FOUND, ACTIONS = "sitemap.xml", "robots.txt", "404.html", "actions.json"
SPECULATION = "site.speculationrules"
# What a sitemap may hold (sitemaps.org, protocol 0.9).
_MAX_URLS = 50_000
_NOT_FOUND = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>Not found</title></head>
<body><h1>Not found</h1><p>There is no such page on {site}. <a href="{home}">Go to the first page</a></p></body>
</html>
"""
_RULES = {
    "prefetch": [
        {
            "source": "document",
            "where": {"and": [{"href_matches": "/*"}, {"not": {"selector_matches": "[rel~=nofollow], [download]"}}]},
            "eagerness": "moderate",
        }
    ]
}


def generate(
    tree: Tree,
    pages: Mapping[str, Page],
    *,
    site: str,
    url: str | None,
    actions: Iterable[Mapping[str, Any]],
    memo: Memo,
    checkpoint: Callable[[], None],
) -> tuple[Tree, list[str]]:
    """Return the site with what was missing and with hints in its pages, and the paths of the new files.

    Args:
        pages: what is known of the site's pages.
        url: where visitors find the site; None: nobody knows, and then there is no sitemap.
        actions: what programs can do on the site, as MCP tools.
        memo: what was found in contents before.
    """
    prefix = urlsplit(url).path or "/" if url else "/"
    made = {
        NOT_FOUND: _NOT_FOUND.format(site=escape(site), home=escape(prefix)),
        SPECULATION: json.dumps(_RULES, indent=1),
        ACTIONS: json.dumps({"site": url, "tools": list(actions)}, indent=1, sort_keys=True),
    }
    if url is not None:
        made[SITEMAP] = _sitemap(url, pages)
    if prefix == "/":
        there = [] if url is None else [f"Sitemap: {urljoin(url, '/' + SITEMAP)}"]
        made[ROBOTS] = "\n".join(["User-agent: *", "Allow: /", *there, ""])
    missing = {path: of_bytes(text.encode()) for path, text in made.items() if path not in tree}
    return tree.with_files(missing | _hinted(tree, pages, memo, checkpoint)), sorted(missing)


def _sitemap(url: str, pages: Mapping[str, Page]) -> str:
    shown_pages = [path for path, page in pages.items() if path != NOT_FOUND and not page.is_hidden]
    shown = sorted(shown_pages, key=without_index)[:_MAX_URLS]
    urls = "".join(f"<url><loc>{xml_escape(address_of(url, path))}</loc></url>\n" for path in shown)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{urls}</urlset>\n"
    )


def _hinted(tree: Tree, pages: Mapping[str, Page], memo: Memo, checkpoint: Callable[[], None]) -> dict[str, SiteFile]:
    """Pages whose heads tell of the style sheets that theirs import: a browser would find them one by one."""
    imports = {path: _imports(path, tree, memo) for path in tree if path.endswith(".css")}
    found: dict[str, SiteFile] = {}
    if not any(imports.values()):
        return found
    for path, page in pages.items():
        checkpoint()
        links = "".join(
            f'<link rel="preload" as="style" href="{escape(_relative(style, path))}">'
            for style in _imported(page, path, imports)
        )
        if links and page.head is not None:
            found[path] = inserted(tree[path], (page.head, links))
    return found


def _imports(style: str, tree: Tree, memo: Memo) -> list[str]:
    file = tree[style]
    found = memo.made(
        "imports", file.key, lambda: json.dumps(references.imports_of(file.read().decode(errors="replace"))).encode()
    )
    return [path for url in json.loads(found) if (path := references.local_path(url, page=style)) in tree and path]


def _imported(page: Page, path: str, imports: Mapping[str, list[str]]) -> list[str]:
    """All style sheets that the page's own import, in the order in which a browser would find them."""
    own = [
        style
        for url, use in page.targets
        if use is Use.ASSET and (style := references.local_path(url, page=path)) in imports and style
    ]
    styles: list[str] = []
    waiting = list(own)
    while waiting:
        for style in imports.get(waiting.pop(0), []):
            if style not in styles and style not in own:
                styles.append(style)
                waiting.append(style)
    return styles


def _relative(path: str, page: str) -> str:
    return quote(posixpath.relpath(path, posixpath.dirname(page) or "."))
