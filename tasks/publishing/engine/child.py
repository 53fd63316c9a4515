"""A program of others as a child of ours: what it prints arrives live, and nothing of it outlives the call."""

import os
import re
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

# How often it is looked after, besides when it prints.
_LOOK_EVERY_S = 0.1
_READ_BYTES = 64 * 1024
_MAX_LINE_BYTES = 4096
_LAST_LINES = 40
_END_LIMIT_S = 10.0
# Colours and other orders to a terminal.
_ORDERS = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[@-Z\\-_])")
# With these in its environment a child that was left behind is found and killed (`workers.orphans`). No secrets.
_MARKS = ("SWITCHYARD_WORKER", "SWITCHYARD_CHILD")
# Of util-linux, which every Debian machine has: it dies with us, and its limits hold before its first instruction.
_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the kernel lets each process of a program have; None: as much as we may ourselves."""

    cpu_s: int | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None
    processes: int | None = None

    def command(self) -> list[str]:
        """Return what goes before a command, so that it runs under these limits."""
        named = {"cpu": self.cpu_s, "as": self.memory_bytes, "fsize": self.file_bytes, "nproc": self.processes}
        return ["prlimit", "--core=0", *(f"--{name}={most}" for name, most in named.items() if most is not None), "--"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child has ended, and the last lines that it printed."""

    status: int
    last: Sequence[str]


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    on_line: Callable[[str], None],
    meanwhile: Callable[[int], None],
    handed: Sequence[int] = (),
) -> Ended:
    """Run ``command`` to its end; it and all that it has started are dead when this returns or raises.

    Args:
        environ: all of its environment, besides two marks of the worker.
        on_line: called with each line that it prints, to either stream, without its end.
        meanwhile: called with its process id, ten times a second at least; what it raises ends the child.
        handed: open files that it gets under the same numbers.

    Raises:
        OSError: it could not be started.
    """
    with started(command, environ=environ, folder=folder, stderr=subprocess.STDOUT, handed=handed) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        last = _relay(process, process.stdout.fileno(), on_line, meanwhile)
    return Ended(process.returncode, last)


@contextmanager
def started(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    handed: Sequence[int] = (),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start ``command``, whose output is a pipe; when the block ends, so do it and all that it has started.

    Args:
        handed: open files that it gets under the same numbers.

    Raises:
        OSError: it could not be started.
    """
    marks = {name: os.environ[name] for name in _MARKS if name in os.environ}
    with subprocess.Popen(
        [*_WITH_US, *command],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=folder,
        env={**environ, **marks},
        pass_fds=handed,
    ) as process:
        try:
            yield process
        finally:
            _kill(process)


def printed(process: "subprocess.Popen[bytes]", meanwhile: Callable[[], None]) -> Iterator[bytes]:
    """Iterate over what a child prints; ``meanwhile`` is called ten times a second at least."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    output = process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            meanwhile()
            if selector.select(_LOOK_EVERY_S):
                data = os.read(output, _READ_BYTES)
                if not data:
                    return
                yield data


def _relay(
    process: "subprocess.Popen[bytes]",
    output: int,
    on_line: Callable[[str], None],
    meanwhile: Callable[[int], None],
) -> list[str]:
    """Hand on what it prints until it has ended; return the last lines."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    rest = b""
    looked_at = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        is_open = True
        while True:
            if time.monotonic() - looked_at >= _LOOK_EVERY_S:
                meanwhile(process.pid)
                looked_at = time.monotonic()
            # Once it has ended only what is in the pipe is read: something that it left behind may hold the other end.
            has_ended = process.poll() is not None
            if is_open and selector.select(0 if has_ended else _LOOK_EVERY_S):
                data = os.read(output, _READ_BYTES)
                is_open = bool(data)
                *lines, rest = _lines(rest + data)
                for line in lines:
                    last.append(line_text := _plain(line))
                    on_line(line_text)
            elif has_ended:
                break
            elif not is_open:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_EVERY_S)
    if rest:
        last.append(_plain(rest))
        on_line(last[-1])
    return list(last)


def _lines(data: bytes) -> list[bytes]:
    """Split what was printed; the last piece goes on, unless it is longer than any line is shown."""
    lines = re.split(rb"\r?\n|\r", data)
    if len(lines[-1]) > _MAX_LINE_BYTES:
        lines.append(b"")
    return lines


def _plain(line: bytes) -> str:
    text = _ORDERS.sub("", line[:_MAX_LINE_BYTES].decode("utf-8", "replace"))
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    below: list[psutil.Process] = []
    with suppress(psutil.Error):
        below = psutil.Process(process.pid).children(recursive=True)
    for child in below:
        with suppress(psutil.Error):
            child.kill()
    process.kill()
    process.wait()
    psutil.wait_procs(below, timeout=_END_LIMIT_S)
