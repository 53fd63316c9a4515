"""Serve a folder of HTML on loopback, for the demo and the benches: ``python -m deploy.site FOLDER PORT``."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a reader who is gone: the demo kills one."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main(folder: str, port: int) -> None:
    """Serve until killed."""
    _Server(("127.0.0.1", port), partial(_Handler, directory=folder)).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
