"""Makes a site smaller and cacheable without changing what a browser shows: minified, fingerprinted, compressed.

The order is: minify each file, rewrite the references of those that refer to others and name assets by their content
(style sheets after what they refer to, pages last), then compress. A fingerprinted asset also stays under its own
name, for scripts and other sites that ask for it.
"""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import brotli  # type: ignore[import-untyped]  # no types upstream
import minify_html
import rcssmin  # type: ignore[import-untyped]  # no types upstream
import rjsmin  # type: ignore[import-untyped]  # no types upstream

from tasks.publishing.engine import references
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import references_of
from tasks.publishing.engine.references import Reference, Use
from tasks.publishing.manifest import (
    BRIEFLY,
    IMMUTABLE,
    REVALIDATED,
    File,
    Manifest,
    Stored,
    files_in,
    is_text,
    media_type_of,
)

# On pages of documentation 6 makes 2 % more bytes than 9 in an eighth of the time.
_BROTLI_QUALITY = 6
_GZIP_LEVEL = 9
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda content: bytes(brotli.compress(content, quality=_BROTLI_QUALITY)),
    "gzip": lambda content: gzip.compress(content, _GZIP_LEVEL, mtime=0),
}
# Below this a compressed copy saves less than its own header costs to serve.
_COMPRESSED_FROM_BYTES = 256
# As many hexadecimal digits of the hash as make a clash among a site's files a matter of centuries.
_DIGITS = 12
_ASSETS = (".css", ".js", ".mjs", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico", ".woff", ".woff2")
_PAGES = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Options:
    """What is done to a site's files."""

    minify: bool = True
    fingerprint: bool = True
    compress: bool = True


@dataclass(slots=True)
class Site:
    """A site in the making.

    Args:
        sources: every file by its path.
        memo: what was made of contents before.
        changed: the new bytes of files that were changed.
        names: the fingerprinted path of an asset, by its own path.
    """

    sources: dict[str, Path]
    memo: Memo
    changed: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def content(self, path: str) -> bytes:
        """Return the file's bytes as they are now."""
        return self.changed[path] if path in self.changed else self.sources[path].read_bytes()


def optimise(
    folder: Path,
    out: Path,
    options: Options,
    *,
    memo: Memo,
    checkpoint: Callable[[], None],
    report: Callable[[int, int], None],
) -> tuple[Manifest, dict[Stored, Path]]:
    """Make a release of the files in ``folder``.

    Args:
        out: an empty folder for what is made; what is not changed is left where it is.
        memo: what was made of contents before.
        report: called with how many files are done, and of how many.

    Returns:
        The manifest, and where the bytes of all it names are.
    """
    site = Site(dict(files_in(folder)), memo)
    if options.minify:
        _minify(site, checkpoint)
    if options.fingerprint:
        _fingerprint(site, checkpoint)
    return _packed(site, out, options, checkpoint=checkpoint, report=report)


def _minify(site: Site, checkpoint: Callable[[], None]) -> None:
    expected = {
        path
        for page in _pages(site)
        if b"integrity" in (content := site.content(page)).lower() and _text(site, page) is not None
        for one in references_of(content, site.memo)
        if one.is_checked and (path := references.local_path(one.url, page=page)) is not None
    }
    for path in site.sources:
        checkpoint()
        if path in expected or ".min." in path:
            continue
        smaller = _smaller(path, site)
        if smaller is not None:
            site.changed[path] = smaller


def _smaller(path: str, site: Site) -> bytes | None:
    ending = PurePosixPath(path).suffix.lower()
    if ending not in (*_PAGES, ".css", ".js") or (text := _text(site, path)) is None:
        return None
    content = site.content(path)
    made = site.memo.made(f"minified {ending}", content, lambda: _minified(text, ending).encode())
    return made if len(made) < len(content) else None


def _minified(text: str, ending: str) -> str:
    """The shorter of the text and what it becomes."""
    match ending:
        case ".css":
            made = str(rcssmin.cssmin(text, keep_bang_comments=True))
        case ".js":
            made = str(rjsmin.jsmin(text, keep_bang_comments=True))
        case _:
            made = minify_html.minify(
                text, keep_closing_tags=True, keep_html_and_head_opening_tags=True, keep_input_type_text_attr=True
            )
    return min(made, text, key=len)


def _fingerprint(site: Site, checkpoint: Callable[[], None]) -> None:
    wanted: set[str] = set()
    found = {
        page: references_of(site.content(page), site.memo) for page in _pages(site) if _text(site, page) is not None
    }
    for page, inside in found.items():
        wanted |= {path for one in inside if (path := _asset(site, one, page)) is not None}
    styles = {path: _styled(site, path) for path in site.sources if path.endswith(".css")}
    for style in _reached(styles, wanted):
        wanted |= styles[style]
    for path in _in_order(wanted, styles):
        checkpoint()
        if path in styles and (text := _text(site, path)) is not None:
            new = references.rewritten_style(text, lambda url, path=path: _new_url(site, url, path))  # type: ignore[misc]  # mypy cannot infer it
            if new != text:
                site.changed[path] = new.encode()
        site.names[path] = _hashed(path, site.content(path))
    for page, inside in found.items():
        checkpoint()
        text = _text(site, page) or ""
        new = references.rewritten(text, inside, lambda one, page=page: _renamed(site, one, page))  # type: ignore[misc]  # as above
        if new != text:
            site.changed[page] = new.encode()


def _asset(site: Site, reference: Reference, page: str) -> str | None:
    """The path of an asset of this site that may have another name."""
    path = references.local_path(reference.url, page=page) if reference.use is Use.ASSET else None
    is_ours = path in site.sources and path.lower().endswith(_ASSETS) if path else False
    return path if is_ours else None


def _styled(site: Site, style: str) -> set[str]:
    """What a style sheet refers to, among the site's assets."""
    text = _text(site, style)
    found = {references.local_path(url, page=style) for url in (references.in_style(text) if text else ())}
    return {path for path in found if path in site.sources and path.lower().endswith(_ASSETS)}


def _reached(styles: Mapping[str, set[str]], wanted: set[str]) -> set[str]:
    """The style sheets among ``wanted``, and those that they import."""
    reached: set[str] = set()
    coming = [path for path in wanted if path in styles]
    while coming:
        style = coming.pop()
        if style not in reached:
            reached.add(style)
            coming += [path for path in styles[style] if path in styles]
    return reached


def _in_order(wanted: set[str], styles: Mapping[str, set[str]]) -> list[str]:
    """Each after what it refers to; style sheets that import each other in a circle keep their names."""
    graph = {path: styles.get(path, set()) & wanted for path in sorted(wanted)}
    while True:
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as exc:
            circle = set(exc.args[1])
            graph = {path: before - circle for path, before in graph.items() if path not in circle}


def _renamed(site: Site, reference: Reference, page: str) -> str | None:
    return _new_url(site, reference.url, page) if _asset(site, reference, page) is not None else None


def _new_url(site: Site, url: str, page: str) -> str | None:
    """The URL with the fingerprinted name, as relative as it was; a query that named a version is not needed."""
    path = references.local_path(url, page=page)
    new = site.names.get(path) if path is not None else None
    if path is None or new is None:
        return None
    own, hash_sign, fragment = url.partition("#")
    before, slash, _ = own.partition("?")[0].rpartition("/")
    return f"{before}{slash}{quote(PurePosixPath(new).name)}{hash_sign}{fragment}"


def _hashed(path: str, content: bytes) -> str:
    pure = PurePosixPath(path)
    return str(pure.with_name(f"{pure.stem}.{hashlib.sha256(content).hexdigest()[:_DIGITS]}{pure.suffix}"))


def _packed(
    site: Site,
    out: Path,
    options: Options,
    *,
    checkpoint: Callable[[], None],
    report: Callable[[int, int], None],
) -> tuple[Manifest, dict[Stored, Path]]:
    where: dict[Stored, Path] = {}
    files: dict[str, File] = {}

    def pack(path: str) -> tuple[str, Stored, dict[str, Stored]]:
        content = site.content(path)
        stored = _kept(content, site.sources[path] if path not in site.changed else None, out, where)
        is_worth_it = options.compress and is_text(media_type_of(path)) and len(content) >= _COMPRESSED_FROM_BYTES
        encodings = {
            name: _kept(made, None, out, where)
            for name, compress in (_COMPRESSORS if is_worth_it else {}).items()
            if len(made := site.memo.made(name, content, lambda compress=compress: compress(content))) < len(content)  # type: ignore[misc]  # mypy cannot infer it
        }
        return path, stored, encodings

    with ThreadPoolExecutor(2, thread_name_prefix="pack") as pool:
        for done, (path, stored, encodings) in enumerate(pool.map(pack, sorted(site.sources)), 1):
            checkpoint()
            media_type = media_type_of(path)
            files[path] = File(stored, media_type, _cached(media_type), encodings)
            if (hashed := site.names.get(path)) is not None:
                files[hashed] = File(stored, media_type, IMMUTABLE, encodings)
            report(done, len(site.sources))
    return Manifest(files), where


def _cached(media_type: str) -> str:
    # Styles and scripts that are asked for by their own names must be of the same release as the page.
    return BRIEFLY if media_type.startswith(("image/", "font/", "audio/", "video/")) else REVALIDATED


def _kept(content: bytes, source: Path | None, out: Path, where: dict[Stored, Path]) -> Stored:
    stored = Stored(hashlib.sha256(content).hexdigest(), len(content))
    if stored not in where:
        if source is None:
            source = out / stored.sha256
            source.write_bytes(content)
        where[stored] = source
    return stored


def _pages(site: Site) -> list[str]:
    return [path for path in site.sources if path.lower().endswith(_PAGES)]


def _text(site: Site, path: str) -> str | None:
    """The file as text, or None where it is not in UTF-8: what cannot be read is left alone."""
    try:
        return site.content(path).decode()
    except UnicodeDecodeError:
        return None
