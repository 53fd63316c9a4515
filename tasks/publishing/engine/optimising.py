"""Makes a site smaller and cacheable without changing what a browser shows: minified, fingerprinted, compressed.

The order is: minify each file, rewrite the references of those that refer to others and name assets by their content
(style sheets after what they refer to, pages last), then compress. A fingerprinted asset also stays under its own
name, for scripts and other sites that ask for it.

Of a file that was published before, and refers to nothing that has another name now, only the hashes are looked up.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import brotli  # type: ignore[import-untyped]  # no types upstream
import minify_html
import rcssmin  # type: ignore[import-untyped]  # no types upstream
import rjsmin  # type: ignore[import-untyped]  # no types upstream

from tasks.publishing.engine import references
from tasks.publishing.engine.forms import note_forms
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import PAGES, Page, is_page, packed, unpacked
from tasks.publishing.engine.references import Reference
from tasks.publishing.engine.tree import Tree
from tasks.publishing.manifest import IMMUTABLE, File, Manifest, Stored, caching_of, is_text, media_type_of

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
_MINIFIED = (*PAGES, ".css", ".js")


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
        has: whether the place for releases has a content: then it need not be made.
        out: a folder for contents that it has not.
        expected: files of which a page says which bytes it expects: they stay as they are.
        styles: the texts of style sheets as they are now; None: not in UTF-8.
        names: the fingerprinted path of an asset, by its own path.
        edits: of a page, the references to assets, and the URL that each gets; None: it stays.
        done: what became of a file.
        where: the contents that were made.
    """

    tree: Tree
    options: Options
    memo: Memo
    has: Callable[[Stored], bool]
    out: Path
    expected: frozenset[str] = frozenset()
    styles: dict[str, str | None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    edits: dict[str, list[tuple[Reference, str | None]]] = field(default_factory=dict)
    done: dict[str, "Done"] = field(default_factory=dict)
    where: dict[Stored, Path] = field(default_factory=dict)

    def is_minified(self, path: str) -> bool:
        """Whether the file is one that is written smaller."""
        is_ours = path.lower().endswith(_MINIFIED) and ".min." not in path and path not in self.expected
        return self.options.minify and is_ours

    def minified(self, path: str) -> bytes:
        """Return the file's bytes after the first step."""
        file, ending = self.tree[path], PurePosixPath(path).suffix.lower()
        if not self.is_minified(path):
            return file.read()
        return self.memo.made(f"minified {ending}", file.key, lambda: _smaller(file.read(), ending))

    def content(self, path: str) -> bytes:
        """Return the file's bytes after the last step."""
        if (text := self.styles.get(path)) is not None:
            return text.encode()
        content = self.minified(path)
        if edits := self.edits.get(path):
            return references.rewritten(content.decode(), [one for one, _ in edits], dict(edits).get).encode()
        return content


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file: its content, and the same compressed."""

    content: Stored
    encodings: Mapping[str, Stored]


@dataclass(frozen=True, slots=True)
class Release:
    """What was made of a site.

    Args:
        where: the contents that the place has not.
        content: gives the bytes of a file by its path.
    """

    manifest: Manifest
    where: Mapping[Stored, Path]
    content: Callable[[str], bytes]


def optimise(
    tree: Tree,
    pages: Mapping[str, Page],
    out: Path,
    options: Options,
    *,
    memo: Memo,
    has: Callable[[Stored], bool],
    checkpoint: Callable[[], None],
    report: Callable[[int, int], None],
) -> Release:
    """Make a release of a site.

    Args:
        pages: what is known of the site's pages.
        out: an empty folder for what is made.
        memo: what was made of contents before.
        has: whether the place for releases has a content: then it need not be made.
        report: called with how many files are done, and of how many.
    """
    site = Site(tree, options, memo, has, out)
    if options.minify or options.fingerprint:
        site.expected = frozenset(_expected(pages))
    if options.fingerprint:
        _fingerprint(site, pages, checkpoint)
    pool = ThreadPoolExecutor(2, thread_name_prefix="pack")
    try:
        for number, (path, done) in enumerate(zip(tree, pool.map(partial(_done, site), tree), strict=True), 1):
            checkpoint()
            site.done[path] = done
            report(number, len(tree))
    finally:
        pool.shutdown(cancel_futures=True)
    originals = {named: path for path, named in site.names.items()}
    return Release(_manifest(site), site.where, lambda path: site.content(originals.get(path, path)))


def _expected(pages: Mapping[str, Page]) -> Iterator[str]:
    for page, known in pages.items():
        for url in known.checked:
            if (path := references.local_path(url, page=page)) is not None:
                yield path


def _smaller(content: bytes, ending: str) -> bytes:
    try:
        made = _minified(content.decode(), ending).encode()
    except UnicodeDecodeError:  # what cannot be read is left alone
        return content
    return made if len(made) < len(content) else content


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


def _fingerprint(site: Site, pages: Mapping[str, Page], checkpoint: Callable[[], None]) -> None:
    found: dict[str, list[Reference]] = {}
    for page, known in pages.items():
        checkpoint()
        found[page] = _assets_in(site, page) if known.is_text else []
    wanted = {path for page, inside in found.items() for one in inside if (path := _asset(site, one.url, page))}
    site.styles = {
        path: _text(site.minified(path)) for path in site.tree if path.endswith(".css") and path not in site.expected
    }
    styled = {path: _styled(site, path) for path in site.styles}
    for style in _reached(styled, wanted):
        wanted |= styled[style]
    for path in _in_order(wanted, styled):
        checkpoint()
        if (text := site.styles.get(path)) is not None:
            site.styles[path] = references.rewritten_style(text, lambda url, path=path: _new_url(site, url, path))  # type: ignore[misc]  # mypy cannot infer it
        site.done[path] = _done(site, path)
        site.names[path] = _hashed(path, site.done[path].content.sha256)
    for page, inside in found.items():
        site.edits[page] = [(one, _new_url(site, one.url, page)) for one in inside]


def _assets_in(site: Site, page: str) -> list[Reference]:
    """The references to assets in the page after the first step."""
    step = "assets, minified" if site.is_minified(page) else "assets"
    return unpacked(
        site.memo.made(
            step, site.tree[page].key, lambda: packed(references.assets_in_page(site.minified(page).decode()))
        )
    )


def _asset(site: Site, url: str, page: str) -> str | None:
    """The path of an asset of this site that may have another name."""
    path = references.local_path(url, page=page)
    return path if path is not None and path in site.tree and path.lower().endswith(_ASSETS) else None


def _styled(site: Site, style: str) -> set[str]:
    """What a style sheet refers to, among the site's assets."""
    text = site.styles[style]
    found = references.in_style(text) if text else ()
    return {path for url in found if (path := _asset(site, url, style)) is not None}


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


def _new_url(site: Site, url: str, page: str) -> str | None:
    """The URL with the fingerprinted name, as relative as it was; a query that named a version is not needed."""
    path = references.local_path(url, page=page)
    new = site.names.get(path) if path is not None else None
    if path is None or new is None:
        return None
    own, hash_sign, fragment = url.partition("#")
    before, slash, _ = own.partition("?")[0].rpartition("/")
    return f"{before}{slash}{quote(PurePosixPath(new).name)}{hash_sign}{fragment}"


def _hashed(path: str, sha256: str) -> str:
    pure = PurePosixPath(path)
    return str(pure.with_name(f"{pure.stem}.{sha256[:_DIGITS]}{pure.suffix}"))


def _done(site: Site, path: str) -> Done:
    """Finish a file, or find out what became of it before."""
    if path in site.done:
        return site.done[path]
    is_worth_it = site.options.compress and is_text(media_type_of(path))
    step = f"done, {'minified' if site.is_minified(path) else 'plain'}, {'compressed' if is_worth_it else 'alone'}"
    edits = [(one.start, one.end, one.url, url) for one, url in site.edits.get(path, ())]
    key = json.dumps([PurePosixPath(path).suffix.lower(), site.tree[path].key, edits, site.styles.get(path)])
    if (known := site.memo.known(step, key)) is not None:
        done = _read(known)
        if all(map(site.has, (done.content, *done.encodings.values()))):
            return done
    content = site.content(path)
    compressors = _COMPRESSORS if is_worth_it and len(content) >= _COMPRESSED_FROM_BYTES else {}
    made = {name: compress(content) for name, compress in compressors.items()}
    done = Done(_kept(site, content), {name: _kept(site, one) for name, one in made.items() if len(one) < len(content)})
    site.memo.keep(step, key, _written(done))
    if is_page(path):
        note_forms(site.memo, done.content.sha256, content)
    return done


def _kept(site: Site, content: bytes) -> Stored:
    stored = Stored(hashlib.sha256(content).hexdigest(), len(content))
    if stored not in site.where and not site.has(stored):
        file = site.out / stored.sha256
        file.write_bytes(content)
        site.where[stored] = file
    return stored


def _written(done: Done) -> bytes:
    encodings = {name: [one.sha256, one.size] for name, one in done.encodings.items()}
    return json.dumps([done.content.sha256, done.content.size, encodings]).encode()


def _read(text: bytes) -> Done:
    sha256, size, encodings = json.loads(text)
    return Done(Stored(sha256, size), {name: Stored(*one) for name, one in encodings.items()})


def _manifest(site: Site) -> Manifest:
    files: dict[str, File] = {}
    for path, done in site.done.items():
        media_type = media_type_of(path)
        files[path] = File(done.content, media_type, caching_of(media_type), done.encodings)
        if (hashed := site.names.get(path)) is not None:
            files[hashed] = File(done.content, media_type, IMMUTABLE, done.encodings)
    return Manifest(files)


def _text(content: bytes) -> str | None:
    """The text, or None where it is not in UTF-8: what cannot be read is left alone."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
