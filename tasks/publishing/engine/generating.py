"""Makes what a site lacks: a sitemap, robots.txt, a page for 404, actions, speculation rules, preload hints.

Nothing that is there is replaced, and nothing has a date or a number of its own in it: the same site again is the same
release.
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from xml.sax.saxutils import escape as xml_escape

from tasks.publishing.engine import references
from tasks.publishing.engine.checking import PAGES
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import references_of
from tasks.publishing.engine.references import Reference, Use

SITEMAP, ROBOTS, NOT_FOUND, ACTIONS = "sitemap.xml", "robots.txt", "404.html", "actions.json"
SPECULATION = "site.speculationrules"
# What a sitemap may hold (sitemaps.org, protocol 0.9).
_MAX_URLS = 50_000
_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_NOINDEX = re.compile(r"<meta\s[^>]*\bname\s*=\s*[\"']?robots[\"'\s][^>]*noindex", re.IGNORECASE)
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
    folder: Path,
    files: Mapping[str, Path],
    *,
    site: str,
    url: str | None,
    actions: Iterable[Mapping[str, Any]],
    memo: Memo,
    checkpoint: Callable[[], None],
) -> list[str]:
    """Write what is missing into ``folder``; return the paths of new files, and of pages that got hints.

    Args:
        files: all files of the folder by their paths.
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
        made[SITEMAP] = _sitemap(url, files)
    if prefix == "/":
        there = [] if url is None else [f"Sitemap: {urljoin(url, '/' + SITEMAP)}"]
        made[ROBOTS] = "\n".join(["User-agent: *", "Allow: /", *there, ""])
    missing = {path: text for path, text in made.items() if path not in files}
    for path, text in missing.items():
        (folder / path).write_text(text)
    _hint(folder, files, memo, checkpoint)
    return sorted(missing)


def _sitemap(url: str, files: Mapping[str, Path]) -> str:
    base = url if url.endswith("/") else url + "/"
    pages = [
        path
        for path, file in files.items()
        if path.lower().endswith(PAGES)
        and path != NOT_FOUND
        and not _NOINDEX.search(file.read_text(errors="replace")[:20_000])
    ]
    shown = sorted(re.sub(r"(^|/)index\.html?$", r"\1", path) for path in pages)[:_MAX_URLS]
    urls = "".join(f"<url><loc>{xml_escape(base + quote(path))}</loc></url>\n" for path in shown)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{urls}</urlset>\n"
    )


def _hint(folder: Path, files: Mapping[str, Path], memo: Memo, checkpoint: Callable[[], None]) -> None:
    """Tell each page's head of the style sheets that its style sheets import: a browser would find them one by one."""
    imports = {path: _imports(path, file, files) for path, file in files.items() if path.endswith(".css")}
    if not any(imports.values()):
        return
    for page, file in files.items():
        checkpoint()
        if not page.lower().endswith(PAGES):
            continue
        try:
            text = (content := file.read_bytes()).decode()
        except UnicodeDecodeError:
            continue
        if head := _HEAD.search(text):
            links = [
                f'<link rel="preload" as="style" href="{escape(_relative(path, page))}">'
                for path in _imported(references_of(content, memo), page, imports)
            ]
            if links:
                hinted = text[: head.end()] + "".join(links) + text[head.end() :]
                (folder / page).write_bytes(hinted.encode())


def _imports(style: str, file: Path, files: Mapping[str, Path]) -> list[str]:
    urls = references.imports_of(file.read_bytes().decode(errors="replace"))
    return [path for url in urls if (path := references.local_path(url, page=style)) in files and path]


def _imported(found: list[Reference], page: str, imports: Mapping[str, list[str]]) -> list[str]:
    """All style sheets that the page's own import, in the order in which a browser would find them."""
    own = [
        path
        for one in found
        if one.use is Use.ASSET and (path := references.local_path(one.url, page=page)) in imports and path
    ]
    styles: list[str] = []
    waiting = list(own)
    while waiting:
        for path in imports.get(waiting.pop(0), []):
            if path not in styles and path not in own:
                styles.append(path)
                waiting.append(path)
    return styles


def _relative(path: str, page: str) -> str:
    return quote(posixpath.relpath(path, posixpath.dirname(page) or "."))
