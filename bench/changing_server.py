"""A site whose pages change while it is served, from memory, with ETags, and with counts of what was sent.

``python -m bench.changing_server FOLDER`` serves a folder of HTML, ``python -m bench.changing_server --made N`` a site
of N made-up pages. It prints its port, then obeys lines of JSON until its input ends: ``{"change": {path: sentence}}``
puts a sentence into pages, ``{"counts": true}`` prints what was sent since it was last asked.
"""

import asyncio
import hashlib
import json
import mimetypes
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, cast

_HEADING_ENDS = b"</h1>"
_LINKS = 20
_WORDS = 6000


class Body(Protocol):
    """Where bodies come from."""

    def paths(self) -> Iterator[str]:
        """Give the addresses of pages, the start page first."""

    def read(self, path: str) -> bytes | None:
        """Return what stands at an address."""


class FolderBody:
    """The files of a folder, in memory."""

    def __init__(self, folder: Path) -> None:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        self._bodies = {f"/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}

    def paths(self) -> Iterator[str]:
        """See ``Body``."""
        yield from (path for path in self._bodies if path.endswith(".html"))

    def read(self, path: str) -> bytes | None:
        """See ``Body``."""
        return self._bodies.get(path)


class MadeBody:
    """So many pages, each made when it is asked for, and always alike: some 2,000 characters of text, 20 links."""

    def __init__(self, count: int) -> None:
        self._count = count
        chance = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(chance.choices(letters, k=chance.randint(3, 10))) for _ in range(_WORDS)]

    def paths(self) -> Iterator[str]:
        """See ``Body``."""
        yield "/index.html"
        yield from (f"/page/{number}.html" for number in range(1, self._count))

    def read(self, path: str) -> bytes | None:
        """See ``Body``."""
        number = 0 if path == "/index.html" else _number(path)
        if number is None or number >= self._count:
            return None
        chance = random.Random(number)
        # A tree of 20 branches, so that three levels reach 8,000 pages and four 160,000; and one link back.
        below = range(number * _LINKS + 1, min((number + 1) * _LINKS + 1, self._count))
        links = "".join(f'<li><a href="/page/{one}.html">Part {one}</a></li>' for one in below)
        said = [" ".join(chance.choices(self._words, k=60)).capitalize() + "." for _ in range(6)]
        text = "".join(f"<p>{paragraph}</p>" for paragraph in said)
        return (
            f'<!doctype html><html lang="en"><head><title>Part {number}</title></head><body><nav><ul>{links}</ul></nav>'
            f'<main><h1>Part {number}</h1>{text}<p><a href="/index.html">Contents</a></p></main></body></html>'
        ).encode()


def _number(path: str) -> int | None:
    name = path.removeprefix("/page/").removesuffix(".html")
    return int(name) if name.isascii() and name.isdecimal() else None


def with_sentence(body: bytes, sentence: str) -> bytes:
    """Return the page with a sentence under its heading, or at its end where it has none."""
    before, mark, after = body.partition(_HEADING_ENDS)
    return before + mark + f"<p>{sentence}</p>".encode() + after


class ChangingSite:
    """Answers GET by path; the query is ignored."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._changes: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def change(self, sentences: dict[str, str]) -> None:
        """Put a sentence under the heading of each of these pages, in place of one that was put there."""
        self._changes |= sentences

    def answer(self, request: bytes) -> bytes:
        """Return the whole answer to a request."""
        line, *rest = request.split(b"\r\n")
        path = line.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
        body = self._body.read(path)
        self.counts["requests"] += 1
        if body is None:
            return _head(404, "text/plain", b"", "")
        if path in self._changes:
            body = with_sentence(body, self._changes[path])
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if any(one.lower().startswith(b"if-none-match:") and etag.encode() in one for one in rest):
            self.counts["not_modified"] += 1
            return _head(304, "", b"", etag)
        self.counts["bodies"] += 1
        self.counts["bytes"] += len(body)
        return _head(200, mimetypes.guess_type(path)[0] or "application/octet-stream", body, etag) + body


def _head(status: int, media_type: str, body: bytes, etag: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Other'}", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {media_type}"] * bool(media_type) + [f"ETag: {etag}"] * bool(etag)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _SiteProtocol(asyncio.Protocol):
    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._answer(request))


async def serve(site: ChangingSite) -> None:
    """Print the port and serve until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _SiteProtocol(site.answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            told = json.loads(line)
            site.change(told.get("change", {}))
            if told.get("counts"):
                print(json.dumps(site.counts), flush=True)
                site.counts.clear()


if __name__ == "__main__":
    served: Body = MadeBody(int(sys.argv[2])) if sys.argv[1] == "--made" else FolderBody(Path(sys.argv[1]).resolve())
    asyncio.run(serve(ChangingSite(served)))
