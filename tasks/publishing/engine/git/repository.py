"""A bare repository of ours, for one commit of somebody else's; git runs by our settings alone.

What the machine's git is set to, hooks, credentials, templates and other ways to a repository than https have no say:
there is no file and no variable of the machine that git would read.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.core.errors import EngineUnavailable, Permanent, Transient
from tasks.publishing.engine.child import Limits, started
from tasks.publishing.engine.git.access import SignIn

_SHA256_DIGITS = 64
_PATH = "/usr/local/bin:/usr/bin:/bin"
# A pack's content that is larger is written as it comes, without being held.
_HELD_BYTES = 16 * 2**20


class GitNotFound(Permanent):
    """There is no such repository or commit, or it asks for a sign-in."""

    code = "git_not_found"


class GitDenied(Permanent):
    """The server does not take the sign-in that the operator has stored for it."""

    code = "git_denied"


class GitRefused(Permanent):
    """What the address leads to cannot be published: no commit, a link to nowhere, a server that git does not trust."""

    code = "git_refused"


class GitTooLarge(Permanent):
    """The commit is over a limit of bytes or files."""

    code = "git_too_large"


class GitFailed(Transient):
    """The server gave no answer, broke off or took too long."""

    code = "git_failed"


@dataclass(frozen=True, slots=True)
class GitLimits:
    """What fetching one commit may take.

    Attributes:
        seconds: for all of it; each process of git may also compute as long.
        fetched_bytes: over the network, both ways.
        memory_bytes: the address space of each process of git.
    """

    seconds: float = 180
    fetched_bytes: int = 512 * 2**20
    memory_bytes: int = 2 * 2**30

    def of_process(self) -> Limits:
        """Return what the kernel holds each process to."""
        return Limits(cpu_s=max(1, round(self.seconds)), memory_bytes=self.memory_bytes, file_bytes=self.fetched_bytes)


class Repository:
    """One repository in a new folder of ours, and how git is called there."""

    def __init__(
        self, folder: Path, limits: GitLimits, *, proxy_url: str, trust_file: str, sign_in: SignIn | None = None
    ) -> None:
        """Set it up: what git fetches goes through the proxy, to servers that ``trust_file`` proves.

        Args:
            sign_in: for the one server that it is for; open as long as commands of this are run.

        Raises:
            EngineUnavailable: there is no git.
        """
        if shutil.which("git", path=_PATH) is None:
            raise EngineUnavailable("There is no git on this worker: install it.", field="source.git")
        self.folder = folder
        self._limits = limits
        empty = folder / "empty"
        empty.mkdir(parents=True)
        settings = {
            "http.proxy": proxy_url,
            "http.sslCAInfo": trust_file,
            "http.followRedirects": "initial",
            "protocol.allow": "never",
            "protocol.https.allow": "always",
            "credential.helper": "",
            "core.askPass": "false",
            "core.hooksPath": str(empty),
            "core.bigFileThreshold": str(_HELD_BYTES),
            "fetch.unpackLimit": "1",
            "fetch.recurseSubmodules": "false",
            "pack.threads": "1",
            "gc.auto": "0",
            "maintenance.auto": "false",
            **({} if sign_in is None else sign_in.settings),
        }
        self.handed = () if sign_in is None else (sign_in.handle,)
        self.environ: Mapping[str, str] = {
            "PATH": _PATH,
            "LC_ALL": "C",
            "HOME": str(empty),
            "XDG_CONFIG_HOME": str(empty),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "https",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_TEMPLATE_DIR": str(empty),
            "GIT_NO_REPLACE_OBJECTS": "1",
            # In the environment, which other users of the machine cannot read, and where nothing needs quoting.
            "GIT_CONFIG_COUNT": str(len(settings)),
            **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)},
            **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())},
        }

    def init_command(self, commit: str) -> list[str]:
        """Return what makes the repository, for ids as long as this commit's."""
        kind = "sha256" if len(commit) == _SHA256_DIGITS else "sha1"
        return self._limited("git", "init", "--quiet", "--bare", f"--object-format={kind}", str(self._path))

    def command(self, *words: str) -> list[str]:
        """Return what calls git in the repository."""
        return self._limited("git", "--git-dir", str(self._path), *words)

    @contextmanager
    def reading(self, *words: str, stdin: IO[bytes] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        """Call git in the repository, to read what it prints; it is ended with the block."""
        given = subprocess.DEVNULL if stdin is None else stdin
        with started(self.command(*words), environ=self.environ, folder=self.folder, stdin=given) as process:
            yield process

    def _limited(self, *command: str) -> list[str]:
        return [*self._limits.of_process().command(), *command]

    @property
    def _path(self) -> Path:
        return self.folder / "repository.git"
