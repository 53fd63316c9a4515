"""The files of a folder that is published: what ``.gitignore`` names stays out, and only what is missing is packed."""

import gzip
import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

# What no site is made of.
_NEVER = {".git", ".hg", ".svn", ".DS_Store", "__MACOSX", ".gitignore"}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file, as it was when it was read."""

    path: Path
    sha256: str
    size: int


def files_of(folder: Path) -> dict[str, LocalFile]:
    """Return the files of a folder by their paths, in order, as git would take them; links to files are followed."""
    found = {}
    for path, file in sorted(_walked(folder, folder, [])):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256")
            found[path] = LocalFile(file, digest.hexdigest(), content.tell())
    return found


def pack(wanted: Mapping[str, Path], into: Path) -> None:
    """Write a tar.gz of files by the names that they get in it; the same files make the same archive."""
    with (
        into.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in sorted(wanted.items()):
            with path.open("rb") as content:
                info = tarfile.TarInfo(name)
                info.size = os.fstat(content.fileno()).st_size
                tar.addfile(info, content)


def _walked(folder: Path, root: Path, above: list[tuple[Path, GitIgnoreSpec]]) -> Iterator[tuple[str, Path]]:
    rules = above
    if (own := folder / ".gitignore").is_file():
        rules = [*above, (folder, GitIgnoreSpec.from_lines(own.read_text(errors="replace").splitlines()))]
    for entry in folder.iterdir():
        is_folder = entry.is_dir()
        if entry.name in _NEVER or _is_ignored(entry, rules, is_folder=is_folder):
            continue
        if is_folder:
            if not entry.is_symlink():  # it may lead back here
                yield from _walked(entry, root, rules)
        elif entry.is_file():
            yield entry.relative_to(root).as_posix(), entry


def _is_ignored(entry: Path, rules: list[tuple[Path, GitIgnoreSpec]], *, is_folder: bool) -> bool:
    # The nearest file that says something about it counts.
    for folder, spec in reversed(rules):
        path = entry.relative_to(folder).as_posix() + ("/" if is_folder else "")
        said = spec.check_file(path).include
        if said is not None:
            return said
    return False
