"""What a release is: the list of its files, each named by its content. The release's name is the hash of that list."""

import hashlib
import json
import mimetypes
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

# What the standard table of types lacks or has otherwise on some machines.
_TYPES = {
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".css": "text/css",
    ".eot": "application/vnd.ms-fontobject",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".ogg": "audio/ogg",
    ".otf": "font/otf",
    ".rss": "application/rss+xml",
    ".speculationrules": "application/speculationrules+json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
}
_TABLE = mimetypes.MimeTypes()  # the library's own, not what is installed on this machine
_TEXT = ("text/", "application/json", "application/xml", "image/svg+xml")

IMMUTABLE = "public, max-age=31536000, immutable"
"""For a file whose name changes with its content (RFC 8246)."""
REVALIDATED = "no-cache"
"""For a page: kept by browsers, and asked for each time whether it is still the one."""
DEFAULT_TYPE = "application/octet-stream"
"""Of what has no ending that is known."""
BRIEFLY = "public, max-age=300"
"""For what has a name of its own and is no page, such as an image."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Some bytes: their SHA-256 in hexadecimal, and how many."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class File:
    """One file of a release.

    Args:
        encodings: the same content as ``br`` or ``gzip`` (RFC 9110's names), where that is smaller.
    """

    content: Stored
    media_type: str
    cache_control: str
    encodings: Mapping[str, Stored] = field(default_factory=dict)

    def all_stored(self) -> Iterator[Stored]:
        """The content, then its encodings."""
        yield self.content
        yield from self.encodings.values()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a release by their paths."""

    files: Mapping[str, File]

    @property
    def release(self) -> str:
        """The release's name: the SHA-256 of the manifest, so that the same files are the same release."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files, encodings not counted."""
        return sum(file.content.size for file in self.files.values())

    def all_stored(self) -> set[Stored]:
        """Everything that a place must hold to serve this release."""
        return {stored for file in self.files.values() for stored in file.all_stored()}

    def to_json(self) -> bytes:
        """Return the canonical form, which ``from_json`` reads: sorted, without blanks."""
        files = {
            path: {
                "sha256": file.content.sha256,
                "size": file.content.size,
                "media_type": file.media_type,
                "cache_control": file.cache_control,
                "encodings": {name: [one.sha256, one.size] for name, one in file.encodings.items()},
            }
            for path, file in self.files.items()
        }
        return json.dumps({"version": 1, "files": files}, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what ``to_json`` made.

        Raises:
            ValueError: it is something else.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("version") != 1:
            raise ValueError("not a manifest of version 1")
        return cls({path: _file_of(one) for path, one in raw["files"].items()})


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one release to another: paths in order, and the bytes of what is new or changed."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    bytes: int


def difference(old: Manifest | None, new: Manifest) -> Difference:
    """Compare by content; ``old`` is None where there was none."""
    before = {} if old is None else old.files
    added = sorted(new.files.keys() - before.keys())
    removed = sorted(before.keys() - new.files.keys())
    changed = sorted(
        path
        for path in new.files.keys() & before.keys()
        if new.files[path].content.sha256 != before[path].content.sha256
    )
    size = sum(new.files[path].content.size for path in (*added, *changed))
    return Difference(tuple(added), tuple(changed), tuple(removed), size)


def media_type_of(path: str) -> str:
    """Return the media type by the path's ending, with UTF-8 as the charset of text; the same on every machine."""
    ending = Path(path).suffix.lower()
    found = _TYPES.get(ending) or _TABLE.types_map[1].get(ending) or DEFAULT_TYPE
    return f"{found}; charset=utf-8" if found.startswith("text/") else found


def known_types() -> dict[str, list[str]]:
    """Return the endings of all media types but ``DEFAULT_TYPE``, without dots, as ``media_type_of`` takes them."""
    found: dict[str, list[str]] = {}
    for ending, media_type in sorted((_TABLE.types_map[1] | _TYPES).items()):
        if media_type != DEFAULT_TYPE:
            found.setdefault(media_type, []).append(ending.removeprefix("."))
    return found


def caching_of(media_type: str) -> str:
    """Return the cache header of a file under its own name, which the next release may give another content."""
    # Styles and scripts that are asked for by their own names must be of the same release as the page.
    return BRIEFLY if media_type.startswith(("image/", "font/", "audio/", "video/")) else REVALIDATED


def is_text(media_type: str) -> bool:
    """Whether files of this type are text, which is worth compressing."""
    plain = media_type.partition(";")[0]
    return plain.startswith(_TEXT) or plain.endswith(("+json", "+xml")) or plain in ("font/ttf", "application/wasm")


def files_in(folder: Path) -> Iterable[tuple[str, Path]]:
    """All files below ``folder`` with their paths, in order; links are not followed."""
    found = [
        (Path(base, name).relative_to(folder).as_posix(), Path(base, name))
        for base, _, names in os.walk(folder)
        for name in names
    ]
    return sorted(found)


def _file_of(raw: Mapping[str, Any]) -> File:
    return File(
        content=Stored(raw["sha256"], raw["size"]),
        media_type=raw["media_type"],
        cache_control=raw["cache_control"],
        encodings={name: Stored(sha256, size) for name, (sha256, size) in raw["encodings"].items()},
    )
