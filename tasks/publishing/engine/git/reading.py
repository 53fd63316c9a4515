"""Reads the files of a commit out of a repository and writes them as plain files; nothing is checked out.

So no hook, filter or attribute has a say: a file's content is what was committed. A link to another file of the commit
becomes that file; any other is refused.
"""

import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tasks.core.job import JobContext
from tasks.publishing.engine.archives import Limits
from tasks.publishing.engine.child import printed
from tasks.publishing.engine.git.repository import GitRefused, GitTooLarge, Repository
from tasks.publishing.engine.names import NameRefused, Names, plain_path

_LIMITS = Limits()
# Of all paths in the repository, wanted or not: a million as a rule.
_MAX_LISTED_BYTES = 64 * 2**20
_MAX_LINKS = 10
_MAX_LINK_BYTES = 4096
# git's own, of no use to visitors.
_OF_GIT = {".gitattributes", ".gitignore", ".gitkeep", ".gitmodules"}
_POINTER = b"version https://git-lfs.github.com/spec/"
_TOLD_NAMES = 5
_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file's content in the repository."""

    id: str
    size: int


def write_files(
    repository: Repository, commit: str, into: Path, *, below: str, job: JobContext, look: Callable[[], None]
) -> None:
    """Write the files of a commit into the folder ``into``.

    Args:
        below: the folder of which alone the files are wanted, as if it were all.
        look: called often; ends the work by what it raises.

    Raises:
        GitRefused, GitTooLarge, NameRefused: it cannot be published.
    """
    blobs: dict[str, _Blob] = {}
    links: dict[str, _Blob] = {}
    modules: list[str] = []
    prefix = f"{below}/" if below else ""
    for mode, path, blob in _listed(repository, commit, look):
        if mode == _SUBMODULE:
            modules += [path] if path.startswith(prefix) else []
        elif mode == _LINK:
            links[path] = blob
        else:
            blobs[path] = blob
    targets = _targets(repository, links, look)
    wanted = {path: blob for path, blob in blobs.items() if path.startswith(prefix)}
    wanted |= {path: blobs[_followed(path, targets, blobs)] for path in links if path.startswith(prefix)}
    plain = _plain({path[len(prefix) :]: blob for path, blob in sorted(wanted.items())})
    _demand_small(plain)
    pointers = _write(repository, plain, into, look)
    _tell(job, modules, "submodules are left out")
    _tell(job, pointers, "files are kept by Git LFS, which is not asked: they are pointers")


def _listed(repository: Repository, commit: str, look: Callable[[], None]) -> Iterator[tuple[str, str, _Blob]]:
    """Iterate over mode, path and content of all that the commit has."""
    with repository.reading("ls-tree", "-r", "-z", "--long", "--full-tree", commit) as process:
        rest, listed_bytes = b"", 0
        for block in printed(process, look):
            listed_bytes += len(block)
            if listed_bytes > _MAX_LISTED_BYTES:
                raise _too_many()
            *entries, rest = (rest + block).split(b"\0")
            for entry in entries:
                facts, _, path = entry.partition(b"\t")
                mode, _, blob_id, size = facts.decode("ascii").split()
                yield mode, path.decode("utf-8", "surrogateescape"), _Blob(blob_id, int(size) if size != "-" else 0)
        # Folders in folders of which each is there a hundred times list nothing and take for ever.
        if process.wait():
            raise GitTooLarge("The commit's list of files cannot be read, or takes too long.", field="source.git")


def _plain(wanted: Mapping[str, _Blob]) -> dict[str, _Blob]:
    """Return what is wanted without git's own files, by paths that every system takes."""
    names, plain = Names(), {}
    for path, blob in wanted.items():
        if plain_path(path) != path or ".git" in path.casefold().split("/"):
            raise NameRefused(f"{path[:120]!r} cannot be published: git itself would not write it.", field="source.git")
        if path.rpartition("/")[2] in _OF_GIT:
            continue
        names.add(path)
        plain[path] = blob
    return plain


def _demand_small(wanted: Mapping[str, _Blob]) -> None:
    if len(wanted) > _LIMITS.files:
        raise _too_many()
    large = [path for path, blob in wanted.items() if blob.size > _LIMITS.file_bytes]
    if large:
        raise GitTooLarge(f"{large[0]!r} is over {_LIMITS.file_bytes:,} bytes.", field="source.git")
    if sum(blob.size for blob in wanted.values()) > _LIMITS.bytes:
        raise GitTooLarge(f"The commit's files are over {_LIMITS.bytes:,} bytes.", field="source.git")


def _too_many() -> GitTooLarge:
    return GitTooLarge(f"The commit has more than {_LIMITS.files:,} files.", field="source.git")


def _targets(repository: Repository, links: Mapping[str, _Blob], look: Callable[[], None]) -> dict[str, str]:
    """Return what each link says."""
    if len(links) > _LIMITS.files:
        raise _too_many()
    for path, blob in links.items():
        if blob.size > _MAX_LINK_BYTES:
            raise GitRefused(f"{path[:120]!r} is a link of {blob.size:,} bytes.", field="source.git")
    targets = {}
    for path, blocks in _contents(repository, links, look):
        text = b"".join(blocks)
        targets[path] = text.decode("utf-8", "surrogateescape")
    return targets


def _followed(path: str, targets: Mapping[str, str], blobs: Mapping[str, _Blob]) -> str:
    """Return the file of the commit for which a link stands."""
    at = path
    for _ in range(_MAX_LINKS):
        if at not in targets:
            break
        at = posixpath.normpath(posixpath.join(posixpath.dirname(at), targets[at]))
    if at not in blobs:
        raise GitRefused(
            f"{path[:120]!r} is a link to {targets[path][:120]!r}, which is no file of the commit: replace it by what "
            "it stands for.",
            field="source.git",
        )
    return at


def _write(repository: Repository, wanted: Mapping[str, _Blob], into: Path, look: Callable[[], None]) -> Sequence[str]:
    """Write the files; return the paths of those that are pointers of Git LFS."""
    pointers = []
    for path, blocks in _contents(repository, wanted, look):
        file = into / path
        file.parent.mkdir(parents=True, exist_ok=True)
        first = b""
        with file.open("xb") as target:
            for block in blocks:
                first = first or block
                target.write(block)
        if first.startswith(_POINTER):
            pointers.append(path)
    return pointers


def _contents(
    repository: Repository, wanted: Mapping[str, _Blob], look: Callable[[], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Iterate over the contents; each is read before the next one is asked for."""
    with tempfile.TemporaryFile(dir=repository.folder) as ids:
        ids.writelines(f"{blob.id}\n".encode() for blob in wanted.values())
        ids.seek(0)
        with repository.reading("cat-file", "--batch", "--buffer", stdin=ids) as process:
            printing = _Printing(process, look)
            for path, blob in wanted.items():
                head = printing.line().split()
                if head != [blob.id.encode(), b"blob", str(blob.size).encode()]:
                    raise GitTooLarge(f"{path[:120]!r} cannot be read, or takes too much.", field="source.git")
                yield path, printing.blocks(blob.size)
                printing.line()


class _Printing:
    """What a process prints, read line by line and by sizes."""

    def __init__(self, process: "Popen[bytes]", look: Callable[[], None]) -> None:
        self._blocks = printed(process, look)
        self._rest = b""

    def line(self) -> bytes:
        """Return all up to the next end of a line; what there is, where it has ended."""
        while b"\n" not in self._rest:
            block = next(self._blocks, b"")
            if not block:
                break
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def blocks(self, size: int) -> Iterator[bytes]:
        """Iterate over the next ``size`` bytes.

        Raises:
            GitTooLarge: it has ended before.
        """
        while size:
            block = self._rest or next(self._blocks, b"")
            if not block:
                raise GitTooLarge("A file of the commit cannot be read, or takes too much.", field="source.git")
            self._rest = block[size:]
            yield block[:size]
            size -= min(size, len(block))


def _tell(job: JobContext, paths: Sequence[str], what: str) -> None:
    if paths:
        more = f" and {len(paths) - _TOLD_NAMES} more" if len(paths) > _TOLD_NAMES else ""
        job.log(f"{what}: {', '.join(paths[:_TOLD_NAMES])}{more}", level="warning", stream="git")
