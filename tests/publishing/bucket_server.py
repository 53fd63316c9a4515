"""A server of S3's protocol as a process of its own, and a road to it on which requests can go wrong."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import uuid4

import boto3
import httpx

from tasks.publishing.bucket import Bucket, BucketAddress
from tests.samples import eventually
from tests.servers import free_port

KEY, SECRET = "AKIATESTTESTTESTTEST", "hunter2hunter2hunter2hunter2hunter2"  # of a server that lives for a test
Trouble = (
    Literal[
        "busy",
        "denied",
        "full",
        "unknown",
        "unmet",
        "cut_upload",
        "cut_answer",
        "lose_answer",
        "unconditional",
        "in_two_steps",
    ]
    | None
)


# moto compares and writes in two steps, so that now and then two who write at once both win; and shows an object before
# its ETag is computed, by a read that moves what a GET at that moment reads from, which then gets it cut off. Here one
# request comes after the other.
_MOTO = """
import sys
import threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

app, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

def in_turn(environ, start_response):
    with turn:
        return app(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), in_turn, threaded=True)
"""


@dataclass
class BucketServer:
    """moto's server, which keeps conditions on writes, with one request at a time."""

    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator["BucketServer"]:
        # No look-up of credentials or of a machine's own address beside it.
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST", "RCLONE_"))
        }
        with subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
        ) as server:
            try:
                assert eventually(self._answers, within_s=60)
                yield self
            finally:
                server.kill()

    def _command(self) -> list[str]:
        return [sys.executable, "-c", _MOTO, str(self.port)]

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url).status_code > 0
        except httpx.HTTPError:
            return False

    def client(self) -> Any:
        """Amazon's own client, for looks from outside."""
        return boto3.session.Session(KEY, SECRET, region_name="us-east-1").client("s3", endpoint_url=self.url)

    def new_bucket(self) -> str:
        """Make a bucket that nobody has."""
        name = f"sites-{uuid4().hex[:12]}"
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def address(self, name: str | None = None, *, url: str | None = None) -> BucketAddress:
        """Say where a bucket is, a new one unless told."""
        return BucketAddress(name or self.new_bucket(), "sites/", url or self.url, None, KEY, SECRET)

    def bucket(self, name: str | None = None, *, url: str | None = None, tries: int = 5) -> Bucket:
        """Open a bucket, a new one unless told."""
        return Bucket.open(self.address(name, url=url), tries=tries)


@dataclass
class RcloneServer(BucketServer):
    """``rclone serve s3``, written by others in another language: it proves signatures, and ignores conditions."""

    folder: Path = field(default_factory=Path)

    @staticmethod
    def program() -> str | None:
        """Where it is installed: beside Python or on the system."""
        return shutil.which("rclone", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))

    def _command(self) -> list[str]:
        options = ["--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{KEY},{SECRET}", "--config", ""]
        return [str(self.program()), "serve", "s3", *options, str(self.folder)]


class Road:
    """Passes requests on to a server, save where ``trouble`` says otherwise; remembers what was asked."""

    def __init__(self, server: BucketServer) -> None:
        self.server = server
        self.asked: list[tuple[str, str]] = []
        self._compared = 0
        self._comparing = threading.Condition()
        self.trouble: Callable[[str, str], Trouble] = lambda _method, _path: None
        road = self

        class Handler(_Handler):
            at = road
            target = ("127.0.0.1", server.port)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    @contextmanager
    def open(self) -> Iterator["Road"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def await_two(self, *, is_first: bool) -> None:
        """Hold who has compared until another has; the first write of an object begins the count anew."""
        with self._comparing:
            if is_first:
                self._compared = 0
                return
            self._compared += 1
            self._comparing.notify_all()
            self._comparing.wait_for(lambda: self._compared >= 2, timeout=60)

    def writes(self) -> list[str]:
        """Paths of what was written, below the site's prefix."""
        return [path.split("/", 3)[-1] for method, path in self.asked if method == "PUT"]


_ANSWERS = {
    "busy": (503, "SlowDown"),
    "denied": (403, "AccessDenied"),
    "full": (507, "InsufficientStorage"),
    "unknown": (501, "NotImplemented"),
    "unmet": (412, "PreconditionFailed"),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    at: ClassVar[Road]
    target: ClassVar[tuple[str, int]]

    def _pass(self) -> None:
        path = self.path.partition("?")[0]
        self.at.asked.append((self.command, path))
        trouble = self.at.trouble(self.command, path)
        length = int(self.headers.get("Content-Length", 0))
        if self.headers.get("Expect", "").lower() == "100-continue" and trouble not in _ANSWERS:
            pass  # the library has been told to go on by the base class
        if trouble == "cut_upload":
            self.rfile.read(length // 2)
            return self._cut()
        body = self.rfile.read(length)
        if trouble in _ANSWERS:
            return self._refuse(*_ANSWERS[trouble])
        if trouble == "in_two_steps":
            # As a store that reads, compares, and only then writes.
            wanted = self.headers.get("If-Match")
            if wanted is not None and wanted != self._etag():
                return self._refuse(*_ANSWERS["unmet"])
            self.at.await_two(is_first=wanted is None)
        is_bare = trouble == "unconditional" or (trouble == "in_two_steps" and "If-Match" in self.headers)
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() != "expect" and not (is_bare and name.lower().startswith("if-"))
        }
        there = http.client.HTTPConnection(*self.target, timeout=30)
        try:
            there.request(self.command, self.path, body, headers)
            answer = there.getresponse()
            content = answer.read()
        finally:
            there.close()
        if trouble == "lose_answer":
            return self._cut()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", size or "0")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if trouble == "cut_answer" else content)
        return self._cut() if trouble == "cut_answer" else None

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _pass  # noqa: N815  # named by the base class

    def _etag(self) -> str | None:
        bucket, _, key = self.path.partition("?")[0].lstrip("/").partition("/")
        client = self.at.server.client()
        try:
            return str(client.head_object(Bucket=bucket, Key=key)["ETag"])
        finally:
            client.close()

    def _refuse(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{KEY} {SECRET}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
