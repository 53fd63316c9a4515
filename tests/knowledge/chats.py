"""An endpoint with OpenAI's interface for chats, on loopback, that says what a test wants."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def chatting(
    pieces: Sequence[Any], *, status: int = 200, ends: bool = True
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Stream these pieces, and whether the stream has its end; give its ``host:port``, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body | {"key": self.headers["Authorization"], "path": self.path})
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for piece in pieces:
                said = {"choices": [{"delta": {"content": piece}}]} if isinstance(piece, str) else piece
                self.wfile.write(f"data: {json.dumps(said)}\n\n".encode())
            self.wfile.write(b'data: {"choices": []}\n\n' + (b"data: [DONE]\n\n" if ends else b""))

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
