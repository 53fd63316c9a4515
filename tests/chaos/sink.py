"""The world outside: a process that notes every arrival and lets an effect happen once per job and fence.

One line of JSON comes in, one goes out, over loopback TCP. An arrival is refused when the sink has seen a newer fence
of its job; a ``start`` shows a fence too, as a claim on a fenced store does. Every arrival is appended to a file before
it is answered: ``{"job", "attempt", "fence", "phase", "at", "accepted"}``, ``at`` in seconds since 1970.
"""

import argparse
import json
import socket
import socketserver
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TextIO

Phase = Literal["start", "effect"]
READY = "sink_ready"
_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One line of the sink's file."""

    job: str
    attempt: int
    fence: int
    phase: Phase
    at: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sink says: whether the fence was new enough, and which fence's effect stands, if any does."""

    accepted: bool
    effect: int | None


def tell(address: str, *, job: str, attempt: int, fence: int, phase: str) -> Answer:
    """Tell the sink at ``host:port`` and return its answer.

    Raises:
        OSError: it does not answer.
    """
    host, _, port = address.partition(":")
    line = json.dumps({"job": job, "attempt": attempt, "fence": fence, "phase": phase}) + "\n"
    with socket.create_connection((host, int(port)), timeout=_LIMIT_S) as connection:
        connection.sendall(line.encode())
        with connection.makefile("r") as answers:
            return Answer(**json.loads(answers.readline()))


def read_arrivals(path: Path) -> list[Arrival]:
    """Return every arrival so far, oldest first."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [Arrival(**json.loads(line)) for line in lines if line.endswith("\n")]


class Book:
    """Which fence is the newest and which effect stands, per job."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = Lock()
        self._newest: dict[str, int] = {}
        self._effects: dict[str, int] = {}

    def enter(self, arrival: dict[str, Any]) -> dict[str, Any]:
        """Note the arrival and answer it."""
        job, fence = arrival["job"], arrival["fence"]
        with self._lock:
            accepted = fence >= self._newest.get(job, 0)
            if accepted:
                self._newest[job] = fence
                if arrival["phase"] == "effect":
                    self._effects[job] = fence
            self._out.write(json.dumps(arrival | {"at": time.time(), "accepted": accepted}) + "\n")
            self._out.flush()
            return {"accepted": accepted, "effect": self._effects.get(job)}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.sink", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.file.open("a", encoding="utf-8") as out:
        book = Book(out)

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write((json.dumps(book.enter(json.loads(line))) + "\n").encode())

        with _Server(("127.0.0.1", arguments.port), Handler) as server:
            print(READY, flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
