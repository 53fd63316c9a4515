"""The bench's side of ``bench.changing_server``: a site in another process that changes when it is told to."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
DEFAULT_SITE = Path("/usr/share/doc/python3-doc/html")


@dataclass(frozen=True, slots=True)
class ServedSite:
    """Where it answers, and how it is spoken to."""

    port: int
    pid: int
    _input: IO[str]
    _output: IO[str]

    @property
    def endpoint(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The start page."""
        return f"http://{self.endpoint}/index.html"

    def change(self, sentences: Mapping[str, str]) -> None:
        """Put a sentence into each of these pages; it is there when this returns."""
        self._say({"change": dict(sentences), "counts": True})
        self._output.readline()

    def counts(self) -> dict[str, int]:
        """Return what was sent since the last call, or the last change."""
        self._say({"counts": True})
        found: dict[str, int] = json.loads(self._output.readline())
        return {name: found.get(name, 0) for name in ("requests", "not_modified", "bodies", "bytes")}

    def _say(self, line: object) -> None:
        self._input.write(json.dumps(line) + "\n")
        self._input.flush()


@contextmanager
def served(*what: str) -> Iterator[ServedSite]:
    """Serve what ``bench.changing_server`` is told to."""
    command = [sys.executable, "-m", "bench.changing_server", *what]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server was started without pipes")
        yield ServedSite(int(server.stdout.readline()), server.pid, server.stdin, server.stdout)
        server.stdin.close()


def sentences(urls: list[str], *, endpoint: str, share: float) -> dict[str, str]:
    """Choose a share of these pages, and return by path what each is to say from now on."""
    chance = random.Random(1)
    chosen = chance.sample(sorted(urls), round(len(urls) * share))
    return {
        url.split(endpoint, 1)[
            1
        ]: f"Since its last revision, number {number}, this page says a little more than before."
        for number, url in enumerate(chosen)
    }
