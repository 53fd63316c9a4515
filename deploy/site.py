"""Serve a folder of HTML on loopback, for the demo and the benches: ``python -m deploy.site FOLDER PORT``."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main(folder: str, port: int) -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=folder))
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
