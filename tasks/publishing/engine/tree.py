"""The files of a site in the making: a key that stands for each one's content, and how to read it.

What is made of an unchanged file is known by its key, so that its bytes are not even read.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from tasks.publishing.manifest import files_in


@dataclass(frozen=True, slots=True)
class SiteFile:
    """One file.

    Args:
        key: two files with the same key have the same content: its SHA-256, or that of all that it is made of.
        read: gives the content; what it reads does not change while the site is published.
    """

    key: str
    size: int
    read: Callable[[], bytes]


class Tree(Mapping[str, SiteFile]):
    """The files of a site by their paths, in order."""

    def __init__(self, files: Mapping[str, SiteFile] | None = None) -> None:
        self._files = dict(sorted((files or {}).items()))

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """All files below a folder; their contents are read once, for the keys."""
        return cls({path: kept_in(file) for path, file in files_in(folder)})

    def __getitem__(self, path: str) -> SiteFile:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: object) -> bool:
        return path in self._files

    def with_files(self, files: Mapping[str, SiteFile]) -> "Tree":
        """Return the tree with these files, new ones and other contents."""
        return Tree({**self._files, **files})


def kept_in(file: Path, sha256: str | None = None) -> SiteFile:
    """A file whose content is in ``file``.

    Args:
        sha256: of the content, where it is known.
    """
    if sha256 is None:
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return SiteFile(sha256, file.stat().st_size, file.read_bytes)


def of_bytes(content: bytes) -> SiteFile:
    """A file with this content."""
    return SiteFile(hashlib.sha256(content).hexdigest(), len(content), lambda: content)


def inserted(file: SiteFile, *texts: tuple[int, str]) -> SiteFile:
    """The file with texts at positions of its own text, in order; it is made when it is read."""
    key = hashlib.sha256(" ".join([file.key, *(f"{at} {text}" for at, text in texts)]).encode()).hexdigest()
    return SiteFile(key, file.size + sum(len(text.encode()) for _, text in texts), partial(_insert, file, texts))


def _insert(file: SiteFile, texts: Sequence[tuple[int, str]]) -> bytes:
    whole, pieces, last = file.read().decode(), [], 0
    for at, text in texts:
        pieces += [whole[last:at], text]
        last = at
    return "".join([*pieces, whole[last:]]).encode()
