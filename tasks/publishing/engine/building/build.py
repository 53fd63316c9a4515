"""Runs a recipe on a source, and takes what it has made as the site."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import EngineUnavailable, Permanent
from tasks.core.job import JobContext
from tasks.core.processes import held_bytes
from tasks.publishing.contract import Stage
from tasks.publishing.engine.building.jail import OUT, demand_isolation, jail, shut_in
from tasks.publishing.engine.child import Limits
from tasks.publishing.engine.intake import SourceRefused, copy_tree
from tasks.publishing.engine.names import MAX_DEPTH
from tasks.publishing.engine.tree import Tree
from tasks.publishing.recipes import RECIPES, Recipe

_TOLD_LINES = 12
_TOLD_CHARS = 1500
# Looking through a large folder takes a while, and may take this share of the time.
_SHARE_OF_LOOKING = 10
_LOOK_EVERY_S = 0.5
_STATUS_OF_SIGNAL = 128
_BLOCK_BYTES = 512


class BuildFailed(Permanent):
    """The generator ended with an error, or made nothing; the message has its last lines, the job's log all."""

    code = "build_failed"


class BuildOverLimit(Permanent):
    """The generator was ended because it took too long, too much memory or too much room."""

    code = "build_over_limit"


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """What one build may take.

    Attributes:
        seconds: on the clock; each of its processes may also compute for twice that.
        memory_bytes: of all its processes together, and the address space of each.
        processes: threads count. Where workers are root: of all builds on the machine.
        out_bytes, out_files: of the site that it makes.
        log_bytes: of what it prints that is kept; the rest is left out.
    """

    seconds: float = 300
    memory_bytes: int = 1024 * 2**20
    processes: int = 256
    file_bytes: int = 512 * 2**20
    out_bytes: int = 2 * 2**30
    out_files: int = 50_000
    log_bytes: int = 2**20


def build(name: str, source: Path, into: Path, *, inside: str, job: JobContext, limits: BuildLimits) -> Tree:
    """Return the site that the recipe makes of the folder ``source``, as files in the new folder ``into``.

    Args:
        inside: the folder below ``source`` in which the recipe is used.

    Raises:
        SourceRefused: what the recipe needs is not there.
        IsolationUnavailable: the recipe cannot be shut in here. Nothing was run.
        BuildFailed, BuildOverLimit, NameRefused: there is no site.
    """
    recipe = RECIPES[name]
    program = _program(name, recipe, source / inside)
    out = job.workdir / "built"
    out.mkdir()
    try:
        return _built(name, program, source, out, into, inside=inside, job=job, limits=limits)
    finally:
        # It may be a tree so deep that Python's own removal would fail.
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(out)], check=False)


def _built(
    name: str,
    program: Sequence[str],
    source: Path,
    out: Path,
    into: Path,
    *,
    inside: str,
    job: JobContext,
    limits: BuildLimits,
) -> Tree:
    shut = jail(source, out, inside=inside)
    demand_isolation(shut, recipe=name, meanwhile=lambda _: job.checkpoint())
    watch = _Watch(name, out, job=job, limits=limits)
    ended = shut_in(
        shut,
        program,
        Limits(
            cpu_s=max(1, round(2 * limits.seconds)),
            memory_bytes=limits.memory_bytes,
            file_bytes=limits.file_bytes,
            processes=limits.processes,
        ),
        on_line=watch.line,
        meanwhile=watch.look,
    )
    if ended.status:
        raise BuildFailed(f"{name} ended with {_words_of(ended.status)}. {_told(ended.last)}", field="recipe")
    if links := watch.measure():
        raise BuildFailed(f"{name} has made {links[0]!r}, a link; only files and folders can be published.")
    tree = copy_tree(out, into, job=job, field="recipe", what="The built site")
    if not tree:
        raise BuildFailed(f"{name} made no file. {_told(ended.last)}", field="recipe")
    return tree


def _program(name: str, recipe: Recipe, folder: Path) -> Sequence[str]:
    found = [one for one in recipe.config if (folder / one).is_file()]
    if recipe.config and not found:
        raise SourceRefused(
            f"Recipe {name!r} needs the file {' or '.join(recipe.config)} in the folder that it is used in: name that "
            "in `subfolder`.",
            field="subfolder",
        )
    given = {"{config}": found[0] if found else "", "{out}": str(OUT)}
    first, *rest = (given.get(word, word) for word in recipe.command)
    program = sys.executable if first == "python" else shutil.which(first)
    if program is None:
        raise EngineUnavailable(f"Recipe {name!r} needs {first} on the worker.", field="recipe")
    return [program, *rest]


class _Watch:
    """Hands on what a build prints, and ends it when it is over a limit."""

    def __init__(self, name: str, out: Path, *, job: JobContext, limits: BuildLimits) -> None:
        self._name = name
        self._out = out
        self._job = job
        self._limits = limits
        self._ends_at = time.monotonic() + limits.seconds
        self._measures_at = 0.0
        self._lines = 0
        self._logged_bytes = 0

    def line(self, line: str) -> None:
        """Log a line and show it as the newest progress."""
        self._lines += 1
        was_over = self._logged_bytes > self._limits.log_bytes
        self._logged_bytes += len(line.encode()) + 1
        if self._logged_bytes <= self._limits.log_bytes:
            self._job.log(line, stream="build")
            self._job.report(Stage.BUILDING, self._lines, message=line)
        elif not was_over:
            self._job.log(
                f"{self._name} has printed over {self._limits.log_bytes:,} bytes; the rest is left out",
                level="warning",
                stream="build",
            )

    def look(self, pid: int) -> None:
        """Stop here if the build must not go on."""
        self._job.checkpoint()
        now = time.monotonic()
        if now > self._ends_at:
            raise BuildOverLimit(f"{self._name} was not done after {self._limits.seconds:g} s.", field="recipe")
        if now < self._measures_at:
            return
        if held_bytes(pid) > self._limits.memory_bytes:
            raise BuildOverLimit(
                f"{self._name} took over {self._limits.memory_bytes:,} bytes of memory.", field="recipe"
            )
        self.measure()
        self._measures_at = now + max(_LOOK_EVERY_S, _SHARE_OF_LOOKING * (time.monotonic() - now))

    def measure(self) -> Sequence[str]:
        """Demand that what was made so far is within its limits; return the paths of links in it."""
        links, files, size = [], 0, 0
        waiting = [(str(self._out), 0)]
        while waiting:
            folder, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise self._over(f"folders more than {MAX_DEPTH} deep")
            for entry in _entries(folder):
                files += 1
                if entry.is_symlink():
                    links.append(entry.path)
                elif entry.is_dir():
                    waiting.append((entry.path, depth + 1))
                else:
                    size += _size(entry)
                if files > 2 * self._limits.out_files:  # folders among them
                    raise self._over(f"over {self._limits.out_files:,} files")
                if size > self._limits.out_bytes:
                    raise self._over(f"over {self._limits.out_bytes:,} bytes")
        return [os.path.relpath(link, self._out) for link in links]

    def _over(self, what: str) -> BuildOverLimit:
        return BuildOverLimit(f"{self._name} has made {what}.", field="recipe")


def _entries(folder: str) -> Sequence["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # it has just gone
        return ()


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # as above
        return 0
    return max(found.st_size, found.st_blocks * _BLOCK_BYTES)


def _words_of(status: int) -> str:
    if status > _STATUS_OF_SIGNAL:
        return f"signal {status - _STATUS_OF_SIGNAL}"
    return f"status {status}"


def _told(last: Sequence[str]) -> str:
    words = "\n".join(last[-_TOLD_LINES:])[-_TOLD_CHARS:]
    return f"It printed at last:\n{words}" if words else "It printed nothing."
