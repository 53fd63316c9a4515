"""Uploads over real connections to a real server, which is killed, cut off and left waiting."""

import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.app.test_server import _await_live
from tests.app.test_server import start as start  # noqa: PLC0414  # a fixture of that module
from tests.samples import eventually
from tests.servers import free_port

Start = Callable[..., subprocess.Popen[str]]

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Served:
    """A server that can be killed and started again on the same folder."""

    start: Start
    folder: Path
    options: dict[str, str]
    port: int = 0

    def up(self) -> subprocess.Popen[str]:
        self.port = free_port()
        process = self.start(PORT=str(self.port), **self.options)
        _await_live(self.url)
        return process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.folder / 'state' / 'dev-key').read_text().strip()}", **TUS}

    def begin(self, **headers: str) -> str:
        sent = {**self.headers, "Upload-Length": str(len(CONTENT)), **headers}
        return httpx.post(f"{self.url}/api/uploads", headers=sent).raise_for_status().headers["Location"]

    def offset(self, path: str) -> int:
        answer = httpx.head(self.url + path, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.status_code
        return int(answer.headers["Upload-Offset"])

    def send(self, path: str, offset: int) -> httpx.Response:
        headers = {**self.headers, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        return httpx.patch(self.url + path, content=CONTENT[offset:], headers=headers, timeout=30)

    def record(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(self.url + path, headers=self.headers).raise_for_status().json()
        return found

    @contextmanager
    def half_sent(self, path: str, count: int, **headers: str) -> Iterator[socket.socket]:
        """Send ``count`` of all bytes in one PATCH that stays open, and wait until they have arrived."""
        lines = {
            **self.headers,
            "Host": "here",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(len(CONTENT)),
            **headers,
        }
        head = f"PATCH {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(head.encode() + b"\r\n" + CONTENT[:count])
            part = self.folder / "state" / "artifacts" / path.removeprefix("/api/") / "part"
            # The server writes whole blocks; the last bytes wait in its memory for the rest of theirs.
            assert eventually(lambda: part.exists() and part.stat().st_size > count - 70_000, within_s=20)
            yield connection


@pytest.fixture
def served(start: Start, tmp_path: Path) -> Served:
    server = Served(start, tmp_path, {"UPLOAD_STALL_S": "60"})
    server.up()
    return server


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the server's main process and its children."""
    main = psutil.Process(process.pid)
    for one in (main, *main.children(recursive=True)):
        one.send_signal(signal.SIGKILL)
    process.wait(timeout=20)


@pytest.mark.parametrize("checked", [False, True])
def test_killed_server_leaves_a_resumable_upload(start: Start, tmp_path: Path, checked: bool) -> None:
    """HEAD tells the true offset, nothing counts as complete, and the rest makes the whole."""
    server = Served(start, tmp_path, {"UPLOAD_STALL_S": "60"})
    process = server.up()
    path = server.begin()
    digest = {"Upload-Checksum": "sha1 " + "A" * 27 + "="} if checked else {}
    with server.half_sent(path, 200_000, **digest):
        kill(process)
    server.up()
    kept = tmp_path / "state" / "artifacts" / path.removeprefix("/api/")
    offset = server.offset(path)
    assert offset == 0 if checked else 130_000 < offset <= 200_000
    if not checked:
        assert CONTENT[:offset] == (kept / "part").read_bytes()
    assert not server.record(path)["complete"]
    assert 204 == server.send(path, offset).status_code
    assert (True, SHA256) == (server.record(path)["complete"], server.record(path)["sha256"])
    assert CONTENT == (kept / "content").read_bytes()


def test_two_senders_at_once_are_told_apart(served: Served) -> None:
    """While one sends, the other gets 423; of many that start together, one wins."""
    path = served.begin()
    with served.half_sent(path, 100_000):
        assert 423 == served.send(path, 0).status_code
    assert eventually(lambda: served.send(path, served.offset(path)).status_code == 204, within_s=20)
    assert SHA256 == served.record(path)["sha256"]
    path = served.begin()
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: served.send(path, 0).status_code, range(6)))
    assert 1 == statuses.count(204)
    assert {409, 423} >= set(statuses) - {204}
    assert SHA256 == served.record(path)["sha256"]


def test_cut_connection_keeps_what_came(served: Served) -> None:
    """Closed or reset: the lock is free at once, and the upload goes on."""
    for reset in (False, True):
        path = served.begin()
        with served.half_sent(path, 200_000) as connection:
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert eventually(lambda path=path: served.send(path, served.offset(path)).status_code == 204, within_s=20)
        assert SHA256 == served.record(path)["sha256"]


def test_silent_sender_is_given_up(start: Start, tmp_path: Path) -> None:
    """Its connection is not even broken: the lock would be held for ever."""
    server = Served(start, tmp_path, {"UPLOAD_STALL_S": "0.5"})
    server.up()
    path = server.begin()
    with server.half_sent(path, 200_000) as connection:
        connection.settimeout(20)
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"go on from that offset" in answer + connection.recv(4096)
        assert 204 == server.send(path, server.offset(path)).status_code
    assert SHA256 == server.record(path)["sha256"]


def test_chunked_body_is_taken_to_its_end(served: Served) -> None:
    """Who does not know how much comes sends chunks."""
    path = served.begin()
    headers = {**served.headers, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    pieces = (CONTENT[at : at + 7777] for at in range(0, len(CONTENT), 7777))
    answer = httpx.patch(served.url + path, content=pieces, headers=headers)
    assert (204, str(len(CONTENT))) == (answer.status_code, answer.headers["Upload-Offset"])
    over = (b"x" for _ in range(3))
    path = served.begin(**{"Upload-Length": "2"})
    assert 413 == httpx.patch(served.url + path, content=over, headers=headers).status_code
    assert 0 == served.offset(path)


def test_refused_body_leaves_the_connection_usable(served: Served) -> None:
    """What was not read is passed over before the next request."""
    path = served.begin()
    with httpx.Client(headers=served.headers) as client:
        piece = {"Upload-Offset": "7", "Content-Type": "application/offset+octet-stream"}
        assert 409 == client.patch(served.url + path, content=CONTENT, headers=piece).status_code
        assert 200 == client.head(served.url + path).status_code
        ping = f"{served.url}/api/jobs/maintenance.ping"
        assert 415 == client.post(ping, files={"file": CONTENT}).status_code
        assert 200 == client.head(served.url + path).status_code


def test_form_is_stored_from_a_stream(served: Served) -> None:
    """Over gunicorn's own reading of bodies."""
    answer = httpx.post(f"{served.url}/api/uploads", files={"file": ("x.bin", CONTENT)}, headers=_without_tus(served))
    assert (201, SHA256) == (answer.status_code, answer.json()["sha256"])


def _without_tus(served: Served) -> dict[str, str]:
    return {name: value for name, value in served.headers.items() if name != "Tus-Resumable"}
