"""Sending files: the real client, a real front door, and a network in between that can be cut."""

import asyncio
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.openapi import API
from app.receiving import Body
from app.services import Services, services_of
from client import (
    AsyncSwitchyard,
    ChecksumMismatch,
    ConnectionFailed,
    InputRejected,
    Notice,
    QuotaExceeded,
    Switchyard,
    TooLarge,
    Upload,
    deaths,
    uploading,
)
from client.command import main
from tasks.core.ledger import queries
from tests.app.conftest import Caller, sign_in
from tests.app.streams.house import served
from tests.client.conftest import FAST
from tests.proxy import Proxy
from tests.samples import eventually

CONTENT = os.urandom(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MATRIX = {"causes": ["malaria", "pneumonia"], "rows": [[30, 6], [4, 25]]}
CSV = b"ID,cause\n1,malaria\n2,pneumonia\n"


class Bench:
    """A front door on a server, a proxy before it, and one tenant's client."""

    def __init__(self, app: API, proxy: Proxy) -> None:
        self.services: Services = services_of(app)
        self.proxy = proxy
        self.alice: Caller = sign_in(app, "alice")
        self.notices: list[Notice] = []
        self.url = f"http://127.0.0.1:{proxy.port}"
        self.client = Switchyard(self.url, self.alice.key, limits=FAST, on_notice=self.notices.append)

    def content(self, upload: Upload) -> bytes:
        with self.services.kernel.uploads.open(self.alice.tenant_id, upload.id) as file:
            return file.read()

    def uploads(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.alice.get("/api/uploads").json["uploads"]
        return found


@pytest.fixture
def bench(make_app: Callable[..., API], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(uploading, "PIECE_BYTES", 100_000)
    app = make_app(upload_limit_bytes=2_000_000, upload_quota_bytes=3_000_000)
    with served(app) as address, Proxy(int(address.rpartition(":")[2])) as proxy:
        bench = Bench(app, proxy)
        with bench.client:
            yield bench


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deaths.csv"
    path.write_bytes(CONTENT)
    return path


def test_file_is_sent_in_pieces(bench: Bench, file: Path) -> None:
    """With its name and type; who wants to know is told how far it is."""
    told: list[tuple[int, int]] = []
    upload = bench.client.upload(file, on_progress=lambda sent, size: told.append((sent, size)))
    assert (True, SHA256, "deaths.csv", "text/csv") == (upload.complete, upload.sha256, upload.name, upload.media_type)
    assert {"upload": upload.id} == upload.ref
    assert CONTENT == bench.content(upload)
    assert sorted(told) == told
    assert {(n * 100_000, 1_000_000) for n in range(1, 11)} == set(told)


def test_what_the_server_has_is_not_sent_again(bench: Bench, file: Path) -> None:
    """Found by its digest, from a path as from bytes."""
    first = bench.client.upload(file)
    told: list[tuple[int, int]] = []
    again = bench.client.upload(CONTENT, on_progress=lambda *far: told.append(far))
    assert (first.id, [(1_000_000, 1_000_000)]) == (again.id, told)
    assert 1 == len(bench.uploads())


def test_bytes_and_nothing_at_all_are_files_too(bench: Bench) -> None:
    """Named as the caller says."""
    upload = bench.client.upload(b"x", name="x.json")
    assert ("x.json", "application/json") == (upload.name, upload.media_type)
    assert b"" == bench.content(bench.client.upload(b""))


@pytest.mark.parametrize("cuts", [1, 3])
def test_cut_connection_is_gone_on_from(bench: Bench, file: Path, cuts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks in the middle of a PATCH, more than once: the next begins behind what arrived."""
    monkeypatch.setattr(uploading, "PIECE_BYTES", len(CONTENT))
    read = Body.read

    def slowly(body: Body, size: int = -1) -> bytes:
        time.sleep(0.02)
        return read(body, size)

    monkeypatch.setattr(Body, "read", slowly)
    files = bench.services.kernel.uploads.files

    def cut_now_and_then() -> None:
        for n in range(1, cuts + 1):
            enough = n * 200_000
            assert eventually(lambda: any(files.length(one) > enough for one in files.ids()), within_s=20)  # noqa: B023  # called at once
            bench.proxy.reset()

    thread = threading.Thread(target=cut_now_and_then)
    thread.start()
    offsets: list[int] = []
    upload = bench.client.upload(file, on_progress=lambda sent, _: offsets.append(sent))
    thread.join()
    assert CONTENT == bench.content(upload)
    assert cuts <= sum(notice.name == "retrying" for notice in bench.notices)
    assert sorted(offsets) == offsets
    assert 200_000 < offsets[0] < len(CONTENT)
    assert 1 == len(bench.uploads())


def test_given_up_upload_is_gone_on_with_later(bench: Bench, file: Path) -> None:
    """By another process, which knows only the file."""

    def cut_for_good(sent: int, _size: int) -> None:
        if sent >= 300_000:
            bench.proxy.cut()

    with pytest.raises(ConnectionFailed):
        bench.client.upload(file, on_progress=cut_for_good)
    bench.proxy.forward()
    (half,) = bench.uploads()
    assert 300_000 <= half["offset_bytes"] < 1_000_000
    told: list[int] = []
    upload = bench.client.upload(file, on_progress=lambda sent, _: told.append(sent))
    assert (half["id"], CONTENT) == (upload.id, bench.content(upload))
    assert min(told) > half["offset_bytes"]


def test_two_that_send_the_same_end_with_one(bench: Bench, file: Path) -> None:
    """They find each other's beginning, and one waits while the other sends."""
    begun = threading.Event()
    found: list[Upload] = []

    def second() -> None:
        begun.wait(20)
        with Switchyard(bench.url, bench.alice.key, limits=FAST) as client:
            found.append(client.upload(file))

    thread = threading.Thread(target=second)
    thread.start()
    first = bench.client.upload(file, on_progress=lambda *_: begun.set())
    thread.join()
    assert [first.id] == [one.id for one in found]
    assert CONTENT == bench.content(first)


def test_file_that_changes_while_it_is_sent_is_refused(bench: Bench, file: Path) -> None:
    """Shorter or other: neither counts as what was meant."""

    def change(sent: int, _size: int) -> None:
        if sent == 100_000:
            file.write_bytes(CONTENT[::-1])

    with pytest.raises(ChecksumMismatch):
        bench.client.upload(file, on_progress=change)
    file.write_bytes(CONTENT + b"!")

    def cut_short(sent: int, _size: int) -> None:
        os.truncate(file, 100)

    with pytest.raises(InputRejected, match="became shorter"):
        bench.client.upload(file, on_progress=cut_short)
    assert not any(one["complete"] for one in bench.uploads())


def test_limits_have_their_own_errors(bench: Bench) -> None:
    """Typed, so that a program can tell them apart."""
    with pytest.raises(TooLarge) as refused:
        bench.client.upload(os.urandom(2_000_001))
    assert TooLarge is type(refused.value)
    bench.client.upload(os.urandom(2_000_000))
    with pytest.raises(QuotaExceeded):
        bench.client.upload(os.urandom(1_500_000))


def test_asyncio_client_sends_alike(bench: Bench, file: Path) -> None:
    """And lets others run in between."""
    turns = 0

    async def send() -> Upload:
        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        async with AsyncSwitchyard(bench.url, bench.alice.key, limits=FAST) as client:
            upload = await client.upload(file)
            job = await client.submit("calibration.va", {"missmat": {"a": MATRIX}}, files={"va_data.a": CSV})
        counting.cancel()
        assert 2 == len(bench.uploads())
        assert job.request["va_data"]["a"]["upload"] != upload.id
        return upload

    assert CONTENT == bench.content(asyncio.run(send()))
    assert turns > 10


def test_large_files_of_deaths_are_uploaded_before_they_are_calibrated(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the asyncio client too; its preview reads the same upload."""
    monkeypatch.setattr(deaths, "INLINE_BYTES", 10)
    path = tmp_path / "deaths.csv"
    path.write_bytes(CSV)

    async def act() -> tuple[int, str]:
        async with AsyncSwitchyard(bench.url, bench.alice.key, limits=FAST) as client:
            told = await client.preview_calibration(path, algorithm="a", missmat={"a": MATRIX})
            fit = await client.calibrate(path, algorithm="a", missmat={"a": MATRIX})
            return told["algorithms"]["a"]["total"], fit.job.request["va_data"]["a"]["upload"]

    total, upload_id = asyncio.run(act())
    assert (2, [upload_id]) == (total, [one["id"] for one in bench.uploads()])


def test_submit_brings_files(bench: Bench, tmp_path: Path) -> None:
    """Paths, bytes, or what was uploaded before; the caller's params stay as they were."""
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    before = bench.client.upload(CSV + b"3,malaria\n")
    params = {"missmat": dict.fromkeys("abc", MATRIX), "va_data": {}}
    files: dict[str, Any] = {"va_data.a": path, "va_data.b": CSV, "va_data.c": before}
    job = bench.client.submit("calibration.va", params, files=files)
    assert {} == params["va_data"]
    row = queries.job(bench.services.kernel.ledger, job.id)
    assert row is not None
    named = {name: sent["upload"] for name, sent in row.request["va_data"].items()}
    assert (named["a"], named["c"]) == (named["b"], before.id)
    for place in ("va_data.a.b", "seed", ""):
        with pytest.raises(InputRejected, match="names no free place"):
            bench.client.submit("calibration.va", {"seed": 1, "va_data": {"a": 1}}, files={place: CSV})


def command(bench: Bench, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--url", bench.url, "--key", bench.alice.key, *arguments])
    return int(ended.value.code or 0)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command wrote; the server in this process logs to stdout, too."""
    (line,) = (line for line in capsys.readouterr().out.splitlines() if not line.startswith("level="))
    return line


def test_command_uploads_and_submits(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`switchyard upload FILE`, and `--file` on a submit."""
    path = tmp_path / "deaths.csv"
    path.write_bytes(CSV)
    assert 0 == command(bench, "upload", str(path), "--name", "a.csv")
    upload_id = printed(capsys)
    assert [(upload_id, "a.csv")] == [(one["id"], one["name"]) for one in bench.uploads()]
    assert 0 == command(bench, "upload", str(path), "--json")
    assert upload_id == json.loads(printed(capsys))["id"]
    matrix = f"missmat.a={json.dumps(MATRIX)}"
    place = f"va_data.a={path}"
    assert 0 == command(bench, "submit", "calibration.va", "--param", matrix, "--file", place)
    job = queries.job(bench.services.kernel.ledger, printed(capsys))
    assert job is not None
    assert upload_id == job.request["va_data"]["a"]["upload"]


@pytest.mark.parametrize("pair", ["va_data.a", "=x", "va_data..a=x", "va_data.a=nowhere.csv"])
def test_command_refuses_what_names_no_file(bench: Bench, capsys: pytest.CaptureFixture[str], pair: str) -> None:
    """Before anything is sent."""
    assert 2 == command(bench, "submit", "calibration.va", "--file", pair)
    assert "--file" in capsys.readouterr().err
    assert [] == bench.uploads()
