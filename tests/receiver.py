"""A receiver of callbacks: answers as its path says, and notes each request.

As a process (``python -m tests.receiver --port P --file F``) it appends a line of JSON for each before it answers.
"""

import argparse
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

READY = "receiver_ready"
_HUGE = 10 * 1024 * 1024
_LONGEST_HANG_S = 60.0
# Long enough to kill a sender that waits for the answer.
_SLOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request. ``signed`` are the headers that a signature is checked with."""

    path: str
    id: str
    signed: dict[str, str]
    body: str
    at: float


class Receiver(ThreadingHTTPServer):
    """Serves on loopback. ``released`` lets requests to ``/hang`` go on."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, note: Callable[[Received], None], *, port: int = 0, inward: str = "") -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.note = note
        self.inward = inward
        self.released = threading.Event()
        self.seen: Counter[str] = Counter()

    @property
    def endpoint(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://{self.endpoint}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        size_bytes = int(self.headers.get("content-length", 0))
        content = self.rfile.read(size_bytes)
        if len(content) < size_bytes:  # whoever sent it was killed before the end of it
            return
        body = content.decode()
        signed = {name: self.headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        self.server.note(Received(self.path, signed["webhook-id"], signed, body, time.time()))
        self.server.seen[signed["webhook-id"]] += 1
        match self.path.strip("/").partition("/")[0]:
            case "fail":
                self._answer(500)
            case "gone":
                self._answer(410)
            case "third":
                self._answer(200 if self.server.seen[signed["webhook-id"]] > 2 else 503)
            case "slow":
                time.sleep(_SLOW_S)
                self._answer(200)
            case "hang":
                self.server.released.wait(_LONGEST_HANG_S)
            case "huge":
                self._answer(500, b"x" * _HUGE)
            case "inward":
                self._answer(307, location=self.server.inward)
            case _:
                self._answer(200)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # whoever asked did not want to know
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(*, inward: str = "") -> Iterator[tuple[Receiver, list[Received]]]:
    """Serve in a thread; yield the receiver and what it has received so far."""
    received: list[Received] = []
    server = Receiver(received.append, inward=inward)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server, received
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def read_received(path: Path) -> list[Received]:
    """Return what a receiver's process has noted so far, oldest first."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [Received(**json.loads(line)) for line in lines if line.endswith("\n")]


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.receiver", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--inward", default="")
    arguments = parser.parse_args()
    lock = threading.Lock()
    with arguments.file.open("a", encoding="utf-8") as out:

        def note(received: Received) -> None:
            with lock:
                out.write(json.dumps(asdict(received)) + "\n")
                out.flush()

        server = Receiver(note, port=arguments.port, inward=arguments.inward)
        print(READY, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
