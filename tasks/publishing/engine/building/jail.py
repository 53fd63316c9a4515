"""A program shut in: it sees the system's programs, its source and an empty folder to write to, and no network.

bubblewrap gives it namespaces of its own: files, processes, network, messages between processes and the host's name. It
keeps no privilege, and when what started it dies, the kernel ends all of it. Where that cannot be had, nothing is run.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import EngineUnavailable
from tasks.publishing.engine.child import Ended, Limits, run

SOURCE, OUT, HOME = Path("/source"), Path("/out"), Path("/tmp")  # noqa: S108  # inside, where it is its own
# Nobody, whose files there are none of.
_USER = 65534
_PATH = "/usr/local/bin:/usr/bin:/bin"
_SCRATCH_BYTES = 256 * 2**20
_SHARED_BYTES = 64 * 2**20
# What programs need of the system, beside /usr; none of it is about this machine or its users.
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/mime.types")
_PROBE_WORDS = 300


class IsolationUnavailable(EngineUnavailable):
    """This worker cannot shut a build in: bubblewrap is missing, or the kernel refuses it namespaces. Permanent."""

    code = "isolation_unavailable"


@dataclass(frozen=True, slots=True)
class Jail:
    """Where a program runs.

    Args:
        source: a folder that it sees as `/source` and cannot change.
        out: a folder that it sees as `/out`, in which it may write.
        inside: the folder below `/source` in which it starts.
        is_root: whether we are root, who needs no namespace of users, and from whom the program is taken away first.
    """

    source: Path
    out: Path
    inside: str = ""
    is_root: bool = False

    def command(self, program: Sequence[str], limits: Limits) -> list[str]:
        """Return what runs ``program`` in here, under these limits."""
        return [
            *("bwrap", "--die-with-parent", "--new-session"),
            *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
            *("--hostname", "build"),
            *self._privileges(),
            *_environment(),
            *_mounts(self.source, self.out),
            *("--chdir", str(SOURCE / self.inside)),
            "--",
            *(_nobody() if self.is_root else ()),
            *limits.command(),
            *program,
        ]

    def _privileges(self) -> Sequence[str]:
        if self.is_root:
            # Without a namespace of users, in which root would still be root to files such as those in /proc/sys.
            return ("--cap-drop", "ALL", *(one for cap in ("SETUID", "SETGID", "SETPCAP") for one in _adding(cap)))
        return ("--unshare-user", "--uid", str(_USER), "--gid", str(_USER), "--cap-drop", "ALL", "--disable-userns")


def jail(source: Path, out: Path, *, inside: str = "") -> Jail:
    """Return the jail for these folders, which the program may read, and write in ``out``."""
    is_root = os.geteuid() == 0
    if is_root:
        _give_to_nobody(source, out)
    return Jail(source, out, inside=inside, is_root=is_root)


def demand_isolation(jail: Jail, *, recipe: str, meanwhile: Callable[[int], None]) -> None:
    """Return where a program can be shut in.

    Raises:
        IsolationUnavailable: it cannot; nothing may be run.
    """
    missing = [name for name in ("bwrap", "setpriv", "prlimit") if shutil.which(name, path=_PATH) is None]
    if missing:
        raise IsolationUnavailable(
            f"Recipe {recipe!r} runs the source's code and needs {', '.join(missing)} on the worker to shut it in "
            "(Debian: bubblewrap, util-linux). Nothing was run.",
            field="recipe",
        )
    ended = shut_in(jail, ["/usr/bin/env", "true"], Limits(), on_line=lambda _: None, meanwhile=meanwhile)
    if ended.status:
        words = " ".join(ended.last)[:_PROBE_WORDS] or f"status {ended.status}"
        raise IsolationUnavailable(
            f"Recipe {recipe!r} runs the source's code, and this worker cannot shut it in ({words}). Let the worker "
            "make namespaces, or publish what the recipe makes. Nothing was run.",
            field="recipe",
        )


def shut_in(
    jail: Jail,
    program: Sequence[str],
    limits: Limits,
    *,
    on_line: Callable[[str], None],
    meanwhile: Callable[[int], None],
) -> Ended:
    """Run ``program`` in the jail to its end (``child.run``)."""
    command = jail.command(program, limits)
    return run(command, environ={"PATH": _PATH}, folder=Path("/"), on_line=on_line, meanwhile=meanwhile)


def _environment() -> list[str]:
    known: Mapping[str, str] = {
        "PATH": _PATH,
        "HOME": str(HOME),
        "TMPDIR": str(HOME),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return ["--clearenv", *(word for name, value in known.items() for word in ("--setenv", name, value))]


def _mounts(source: Path, out: Path) -> list[str]:
    python = {Path(sys.prefix), Path(sys.base_prefix)}
    mounts = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            mounts += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            mounts += ["--ro-bind", name, name]
    for name in _SETTINGS:
        mounts += ["--ro-bind-try", name, name]
    mounts += ["--proc", "/proc", "--dev", "/dev"]
    mounts += ["--perms", "1777", "--size", str(_SHARED_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    mounts += ["--perms", "1777", "--size", str(_SCRATCH_BYTES), "--tmpfs", str(HOME)]
    for folder in sorted(one for one in python if not one.is_relative_to("/usr")):
        for parent in reversed(folder.parents[:-1]):
            mounts += ["--perms", "0755", "--dir", str(parent)]
        mounts += ["--ro-bind", str(folder), str(folder)]
    return [*mounts, "--ro-bind", str(source), str(SOURCE), "--bind", str(out), str(OUT), "--remount-ro", "/"]


def _nobody() -> Sequence[str]:
    return (
        *("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"),
        *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"),
    )


def _adding(capability: str) -> Sequence[str]:
    return ("--cap-add", f"CAP_{capability}")


def _give_to_nobody(source: Path, out: Path) -> None:
    os.chown(out, _USER, _USER)
    for base, _, names in os.walk(source):
        for path, wanted in ((Path(base), 0o755), *((Path(base, name), 0o644) for name in names)):
            if not path.is_symlink() and (mode := path.stat().st_mode) | wanted != mode:
                path.chmod(mode | wanted)
