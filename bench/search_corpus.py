"""A folder of Sphinx's HTML as pages of Markdown, with the places of what its index and its glossary name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import html

DEFAULT_DOCS = Path("/usr/share/doc/python3-doc/html")
_OTHERS = re.compile(r"(genindex|py-modindex|search|contents|_|index\.html)")
_BLOCKS = {"p", "li", "dt", "dd", "div", "section", "table", "tr", "ul", "ol", "dl", "blockquote", "pre"}
_LEFT_OUT = {"script", "style", "nav", "head"}
# A class's description goes on with its methods; what it says of itself comes first.
_MOST_CHARS = 1500


@dataclass
class DocPage:
    """One page: its text, and what each of its anchors spans of that."""

    path: str
    title: str = ""
    text: str = ""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """What stands at the anchor: a signature, or a term."""


def read_pages(folder: Path) -> Iterator[DocPage]:
    """Read every page that says something, by path."""
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        if not _OTHERS.match(name):
            yield _Reader(name).read(html.parse(str(path)).getroot())


def index_entries(folder: Path) -> dict[str, str]:
    """Return what the general index says of each ``page#anchor``."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("genindex*.html")):
        for link in html.parse(str(path)).getroot().iter("a"):
            target, words = link.get("href", ""), " ".join(link.text_content().split())
            if "#" in target and ".html#" in target and not target.startswith(("http", "genindex")) and words:
                found.setdefault(target, words)
    return found


class _Reader:
    def __init__(self, path: str) -> None:
        self._page = DocPage(path)
        self._parts: list[str] = []
        self._size = 0

    def read(self, root: Any) -> DocPage:
        self._page.title = (root.findtext(".//title") or "").split(" — ")[0].strip()
        for main in root.xpath("//div[@role='main']") or [root.body]:
            self._walk(main, is_code=False)
        self._page.text = "".join(self._parts)
        return self._page

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)

    def _break(self) -> None:
        if self._parts and not self._parts[-1].endswith("\n\n"):
            self._write("\n\n")

    def _walk(self, node: Any, *, is_code: bool) -> None:
        tag = node.tag
        if not isinstance(tag, str) or tag in _LEFT_OUT or node.get("class") == "headerlink":
            return
        if tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self._break()
            self._write(f"{'#' * int(tag[1])} {' '.join(node.text_content().replace('¶', '').split())}\n\n")
            return
        if tag in _BLOCKS:
            self._break()
        begin = self._size
        if tag == "dt" and node.get("id"):
            self._page.names[node.get("id")] = " ".join(node.text_content().replace("¶", "").split())
        self._inside(node, is_code=is_code or tag == "pre")
        if tag == "dt" and node.get("id"):
            self._page.spans[node.get("id")] = (begin, self._size)
        if tag == "dd":
            self._span_to_here(node)

    def _inside(self, node: Any, *, is_code: bool) -> None:
        for text, child in [(node.text, None), *((one.tail, one) for one in node)]:
            if child is not None:
                self._walk(child, is_code=is_code)
            words = text if is_code else re.sub(r"\s+", " ", text or "")
            if words and (words != " " or not self._parts or not self._parts[-1].endswith("\n")):
                self._write(words)

    def _span_to_here(self, described: Any) -> None:
        term = described.getprevious()
        while term is not None and term.tag == "dt":
            if (name := term.get("id")) in self._page.spans:
                begin, _ = self._page.spans[name]
                self._page.spans[name] = (begin, min(self._size, begin + _MOST_CHARS))
            term = term.getprevious()
