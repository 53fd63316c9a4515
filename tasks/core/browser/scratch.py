"""The folder of a browser's profile: removed with it, or where it was killed, by the next one that starts here."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# With the host's name, because containers that share a folder count processes differently.
_PREFIX = f"switchyard-browser-{platform.node()}-"


def make_scratch() -> Path:
    """Return a new folder of this process, and remove those of processes that are gone."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            remove_scratch(left)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def remove_scratch(folder: Path) -> None:
    """Remove the folder, as far as it is there."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def as_temporary_folder(folder: Path) -> Iterator[None]:
    """Let what is started inside take ``folder`` for the system's. Playwright's driver can be told in no other way."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
