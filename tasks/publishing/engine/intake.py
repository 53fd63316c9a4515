"""Brings what is to be published into a folder of the attempt: plain files, whose paths every system takes."""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import assert_never

from tasks.core.errors import Permanent
from tasks.core.job import JobContext
from tasks.core.uploads import UploadRef
from tasks.publishing.engine.archives import Limits, unpack
from tasks.publishing.engine.git.access import Access
from tasks.publishing.engine.git.fetching import take_commit
from tasks.publishing.engine.git.repository import GitLimits
from tasks.publishing.engine.names import Names, plain_path
from tasks.publishing.engine.tree import Tree, kept_in
from tasks.publishing.manifest import files_in
from tasks.publishing.origins import FilesSource, FolderSource, GitSource
from tasks.publishing.sources import SourceStore

_LIMITS = Limits()
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_LIST_BYTES = 32 * 2**20
# What no folder of a site is about, and what an archive of a working copy may have along.
_NEVER = {".git", ".hg", ".svn", ".DS_Store", "__MACOSX"}


class SourceRefused(Permanent):
    """What is to be published cannot be: the folder is not allowed, the list is none, a content was never sent."""

    code = "source_refused"


def take_in(
    source: UploadRef | FilesSource | FolderSource | GitSource,
    into: Path,
    *,
    job: JobContext,
    store: SourceStore,
    allowed: Sequence[Path],
    git: GitLimits,
    access_to: Callable[[str], Access],
    below: str = "",
) -> Tree:
    """Return the files of the source; those that are not kept for longer are brought into the new folder ``into``.

    Args:
        allowed: the server's folders below which others may lie.
        access_to: what the operator has for a repository.
        below: the folder of the source of which alone the files are wanted, as if it were all.

    Raises:
        SourceRefused, ArchiveRefused, NameRefused, GitNotFound, GitDenied, GitRefused, GitTooLarge, EgressRefused:
            it cannot be published; nothing of it is used.
        GitFailed: a repository's server does not answer. Transient.
    """
    into.mkdir(parents=True)
    match source:
        case UploadRef():
            _unpack(source, into, job)
            tree = Tree.of_folder(into)
        case FilesSource():
            tree = _assemble(source, into, job=job, store=store)
        case FolderSource():
            tree = _copy(Path(source.folder), into, job=job, allowed=allowed)
        case GitSource():
            take_commit(source, into, job=job, limits=git, below=below, access=access_to(source.git))
            tree = Tree.of_folder(into)
        case _:
            assert_never(source)
    kept = Tree({path: file for path, file in tree.items() if not _NEVER.intersection(path.split("/"))})
    if below and not isinstance(source, GitSource):
        kept = Tree({path[len(below) + 1 :]: file for path, file in kept.items() if path.startswith(f"{below}/")})
    if not kept:
        where = f"below {below!r} in the source" if below else "to publish"
        raise SourceRefused(f"There is no file {where}.", field="subfolder" if below else "source")
    return kept


def lay_out(tree: Tree, folder: Path) -> None:
    """See that all files of the tree are in the folder, of which some are not where contents are kept for longer."""
    for path, file in tree.items():
        if not (at := folder / path).exists():
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(file.read())


def _unpack(source: UploadRef, into: Path, job: JobContext) -> None:
    archive = job.workdir / "archive"
    with job.open(source.upload) as sent, archive.open("wb") as file:
        shutil.copyfileobj(sent, file, 1 << 20)
    unpack(archive, into, limits=_LIMITS, checkpoint=job.checkpoint)
    archive.unlink()


def _assemble(source: FilesSource, into: Path, *, job: JobContext, store: SourceStore) -> Tree:
    wanted = _listed(source, job)
    if source.contents is not None:
        _unpack(source.contents, into, job)
        for _, file in files_in(into):
            job.checkpoint()
            store.add(file)
        shutil.rmtree(into)
    files = {}
    for path, sha256 in wanted.items():
        job.checkpoint()
        try:
            files[path] = kept_in(store.find(sha256), sha256)
        except FileNotFoundError as exc:
            raise SourceRefused(
                f"The content of {path!r} was never sent, or too long ago: publish again.", field="source.contents"
            ) from exc
    return Tree(files)


def _listed(source: FilesSource, job: JobContext) -> Mapping[str, str]:
    """Read the list: contents by their paths, within all limits."""
    with job.open(source.files.upload) as file:
        text = file.read(_MAX_LIST_BYTES + 1)
    try:
        if len(text) > _MAX_LIST_BYTES:
            raise ValueError(f"it is over {_MAX_LIST_BYTES:,} bytes")
        listed = {path: (str(sha256), int(size)) for path, (sha256, size) in json.loads(text)["files"].items()}
        if not all(_SHA256.fullmatch(sha256) and size >= 0 for sha256, size in listed.values()):
            raise ValueError("a hash or a size is none")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise SourceRefused(f"The list of files cannot be read: {exc}."[:500], field="source.files") from exc
    if len(listed) > _LIMITS.files or sum(size for _, size in listed.values()) > _LIMITS.bytes:
        raise SourceRefused(
            f"The list is over {_LIMITS.files:,} files or {_LIMITS.bytes:,} bytes.", field="source.files"
        )
    names, wanted = Names(), {}
    for path, (sha256, _) in listed.items():
        plain = plain_path(path)
        names.add(plain)
        wanted[plain] = sha256
    return wanted


def _copy(folder: Path, into: Path, *, job: JobContext, allowed: Sequence[Path]) -> Tree:
    real = folder.resolve()
    if not any(real.is_relative_to(one.resolve()) for one in allowed):
        raise SourceRefused(
            f"{str(folder)!r} is not below a folder that the operator allowed (SWITCHYARD_PUBLISH_SOURCES).",
            field="source.folder",
        )
    if not real.is_dir():
        raise SourceRefused(f"{str(folder)!r} is no folder on this worker's machine.", field="source.folder")
    return copy_tree(real, into, job=job, field="source.folder", what="The folder")


def copy_tree(folder: Path, into: Path, *, job: JobContext, field: str, what: str) -> Tree:
    """Copy the files of a folder that others may have written to; what a working copy has along is left out.

    Args:
        field: of the request, that errors name.
        what: the folder is, for errors.

    Raises:
        SourceRefused, NameRefused: a link, a thing that is no file, a name that cannot be published, or too much.
    """
    names, total = Names(), 0
    for count, (path, file) in enumerate(files_in(folder), 1):
        job.checkpoint()
        if _NEVER.intersection(path.split("/")):
            continue
        names.add(plain_path(path))
        total += _copy_file(file, into / path, path, field)
        if count > _LIMITS.files or total > _LIMITS.bytes:
            raise SourceRefused(f"{what} is over {_LIMITS.files:,} files or {_LIMITS.bytes:,} bytes.", field=field)
    return Tree.of_folder(into)


def _copy_file(file: Path, to: Path, path: str, field: str) -> int:
    # Opened first and asked then, so that nothing can be put in its place; a link would lead anywhere.
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        raise SourceRefused(f"{path!r} cannot be read, or is a link: {exc.strerror}.", field=field) from exc
    with open(handle, "rb") as source:  # noqa: PTH123  # of a handle
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SourceRefused(f"{path!r} is no plain file.", field=field)
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            return target.tell()
