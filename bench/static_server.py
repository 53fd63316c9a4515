"""A static site from memory, fast enough not to be what a crawler benchmark measures.

``python -m bench.static_server FOLDER`` prints its port and serves until its input ends.
"""

import asyncio
import mimetypes
import sys
from pathlib import Path
from typing import cast

_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"


class _StaticProtocol(asyncio.Protocol):
    """Answers GET by path; the query is ignored, connections are kept."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].partition(b"?")[0]
            self._transport.write(self._answers.get(path, _MISSING))


def load(folder: Path) -> dict[bytes, bytes]:
    """Return whole answers by path; a folder answers with its ``index.html``."""
    answers = {}
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        path, body = f"/{file.relative_to(folder).as_posix()}", file.read_bytes()
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        answers[path.encode()] = head.encode() + body
        if file.name == "index.html":
            answers[path.removesuffix("index.html").encode()] = head.encode() + body
    return answers


async def serve(folder: Path) -> None:
    """Print the port and serve ``folder`` until the input ends."""
    loop = asyncio.get_running_loop()
    answers = load(folder)
    server = await loop.create_server(lambda: _StaticProtocol(answers), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).resolve()))
