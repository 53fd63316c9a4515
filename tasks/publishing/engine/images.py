"""Smaller copies of pages' pictures, and markup that offers them: `picture` around each `img`, which stays as it is.

What was made of a picture is kept by its hash, so that the same picture is the same copies, and is encoded once.
"""

import html
import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import quote

from tasks.publishing.contract import ImageOptions
from tasks.publishing.engine import picture
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import Page
from tasks.publishing.engine.references import local_path, start_tags, values_of
from tasks.publishing.engine.tree import SiteFile, Tree, inserted

_PICTURES = (".jpg", ".jpeg", ".png")
# Below this, another request's headers cost more than a smaller copy saves.
_FROM_BYTES = 4 * 1024
_PICTURE = re.compile(r"<(/?)picture(?=[\s/>])", re.IGNORECASE)
_PIXELS = re.compile(r"\s*([0-9]{1,5})\s*")


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a picture."""

    width: int
    format: str
    size: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """An ``img`` of a page: where its tag begins and ends, which file it shows, and how wide, as it says."""

    start: int
    end: int
    path: str
    sizes: str | None


def offered(
    tree: Tree, pages: Mapping[str, Page], options: ImageOptions, *, memo: Memo, checkpoint: Callable[[], None]
) -> tuple[Tree, int]:
    """Return the site with smaller copies of its pictures and with pages that offer them, and how many copies.

    Args:
        pages: what is known of the site's pages.
        memo: what was made of contents before.
    """
    shown: dict[str, list[_Shown]] = {}
    for path, page in pages.items():
        checkpoint()
        if page.is_text:
            shown[path] = [one for one in _shown(tree[path], path, memo) if _is_worth_it(tree, one.path)]
    pictures = sorted({one.path for found in shown.values() for one in found})
    copies: dict[str, list[Copy]] = {}
    pool = ThreadPoolExecutor(2, thread_name_prefix="images")
    try:
        making = pool.map(lambda path: _copies(tree[path], options, memo), pictures)
        for path, made in zip(pictures, making, strict=True):
            checkpoint()
            # A name that the site itself uses is its own.
            if made and not any(_name(path, one) in tree for one in made):
                copies[path] = made
    finally:
        pool.shutdown(cancel_futures=True)
    files = {_name(path, one): _file(tree[path], one, options, memo) for path, made in copies.items() for one in made}
    made_pages = {
        path: inserted(tree[path], *_inserts(found, path, copies, options))
        for path, found in shown.items()
        if any(one.path in copies for one in found)
    }
    return tree.with_files(files | made_pages), len(files)


def _is_worth_it(tree: Tree, path: str) -> bool:
    return path in tree and path.lower().endswith(_PICTURES) and tree[path].size >= _FROM_BYTES


def _shown(file: SiteFile, page: str, memo: Memo) -> Iterator[_Shown]:
    found = memo.made("pictures", file.key, lambda: json.dumps(list(_pictures_in(file.read().decode()))).encode())
    for start, end, src, sizes in json.loads(found):
        if (path := local_path(src, page=page)) is not None:
            yield _Shown(start, end, path, sizes)


def _pictures_in(text: str) -> Iterator[tuple[int, int, str, str | None]]:
    """The ``img`` elements that offer one form only: where the tag begins and ends, its ``src``, how wide it is."""
    turns = [(found.start(), not found.group(1)) for found in _PICTURE.finditer(text)]
    is_inside = False
    for _, at, attributes in start_tags(text, {"img"}):
        start, end = at - len("<img"), at + len(attributes) + 1
        while turns and turns[0][0] < start:
            is_inside = turns.pop(0)[1]
        values = values_of(attributes)
        if not is_inside and values.get("src", "").strip() and "srcset" not in values:
            yield start, end, values["src"].strip(), _sizes(values)


def _sizes(values: Mapping[str, str]) -> str | None:
    if values.get("sizes", "").strip():
        return values["sizes"].strip()
    width = _PIXELS.fullmatch(values.get("width", ""))
    return f"(max-width: {width.group(1)}px) 100vw, {width.group(1)}px" if width else None


def _copies(file: SiteFile, options: ImageOptions, memo: Memo) -> list[Copy]:
    """The copies that are smaller than the picture itself, the narrowest first; none where it cannot be read."""
    wanted = json.dumps([sorted(set(options.widths)), options.formats, options.quality])
    found = memo.made(f"copies {wanted}", file.key, lambda: json.dumps(list(_made(file, options, memo))).encode())
    return [Copy(*one) for one in json.loads(found)]


def _made(file: SiteFile, options: ImageOptions, memo: Memo) -> Iterator[tuple[int, str, int]]:
    content = file.read()
    own_width = picture.width_of(content)
    if own_width is None:
        return
    for width in sorted({*(one for one in options.widths if one < own_width), own_width}):
        for format_ in options.formats:
            try:
                copy = picture.copied(content, width, format_, options.quality)
            except picture.DAMAGE:
                return
            if len(copy) < len(content):
                memo.keep(_step(width, format_, options.quality), file.key, copy)
                yield width, format_, len(copy)


def _file(file: SiteFile, copy: Copy, options: ImageOptions, memo: Memo) -> SiteFile:
    step = _step(copy.width, copy.format, options.quality)
    return SiteFile(f"{file.key} {step}", copy.size, partial(_read, file, copy, options.quality, memo))


def _read(file: SiteFile, copy: Copy, quality: int, memo: Memo) -> bytes:
    step = _step(copy.width, copy.format, quality)
    return memo.made(step, file.key, lambda: picture.copied(file.read(), copy.width, copy.format, quality))


def _step(width: int, format_: str, quality: int) -> str:
    return f"copy {width} {format_} {quality}"


def _name(path: str, copy: Copy) -> str:
    # With the picture's own ending, since `a.jpg` and `a.png` may lie side by side.
    return str(PurePosixPath(path).with_name(f"{PurePosixPath(path).name}-{copy.width}w.{copy.format}"))


def _inserts(
    found: Sequence[_Shown], page: str, copies: Mapping[str, Sequence[Copy]], options: ImageOptions
) -> Iterator[tuple[int, str]]:
    for one in found:
        if one.path in copies:
            sizes = html.escape(one.sizes or options.sizes)
            sources = "".join(
                f'<source type="image/{format_}" srcset="{html.escape(_srcset(one.path, page, made))}" sizes="{sizes}">'
                for format_ in options.formats
                if (made := [copy for copy in copies[one.path] if copy.format == format_])
            )
            yield one.start, f"<picture>{sources}"
            yield one.end, "</picture>"


def _srcset(path: str, page: str, copies: Sequence[Copy]) -> str:
    folder = posixpath.dirname(page) or "."
    return ", ".join(f"{quote(posixpath.relpath(_name(path, one), folder))} {one.width}w" for one in copies)
