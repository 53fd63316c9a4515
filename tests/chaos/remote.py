"""A service elsewhere, as a process: work is submitted to it over HTTP, takes its time, and is asked about.

A submission with an ``Idempotency-Key`` that is known begins nothing. ``GET /book`` tells all that was begun.
"""

import argparse
import itertools
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

READY = "remote_ready"


class Book:
    """The works by name, and their names by key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._names: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.works: dict[str, dict[str, Any]] = {}
        self.submissions = 0
        self.cancels = 0

    def begin(self, key: str, job: str, seconds: float) -> str:
        """Begin a work, unless the key is known; return its name."""
        with self._lock:
            self.submissions += 1
            if key not in self._names:
                name = self._names[key] = f"w{next(self._numbers)}"
                self.works[name] = {"job": job, "began_at": time.time(), "seconds": seconds}
            return self._names[key]

    def state(self, name: str) -> dict[str, Any]:
        """Tell how far a work is."""
        work = self.works[name]
        share = min(1.0, (time.time() - work["began_at"]) / work["seconds"])
        return {"status": "done" if share == 1.0 else "running", "percent": round(100 * share, 1)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.remote", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    book = Book()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for each answer

        def do_POST(self) -> None:  # upstream's name
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(202, {"id": book.begin(self.headers["Idempotency-Key"], given["job"], given["seconds"])})

        def do_GET(self) -> None:  # upstream's name
            name = self.path.rpartition("/")[2]
            if name == "book":
                self._answer(200, {"submissions": book.submissions, "cancels": book.cancels, "works": book.works})
            elif name in book.works:
                self._answer(200, book.state(name))
            else:
                self._answer(404, {})

        def do_DELETE(self) -> None:  # upstream's name
            book.cancels += 1
            self._answer(200, {})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with _Server(("127.0.0.1", arguments.port), Handler) as server:
        print(READY, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
