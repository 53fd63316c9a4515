"""The client and the command store connectors and let them be checked, against the front door itself."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.openapi import API
from app.services import services_of
from client import AsyncSwitchyard, InputRejected, NotFound, Switchyard
from client.command import main
from tasks.connectors.contract import CHECK
from tests.app.conftest import Caller, claim, finish
from tests.app.streams.house import served
from tests.app.test_connectors import BODY, SERVICE
from tests.connectors.speaker import SPEAK
from tests.connectors.translations import KEY
from tests.samples import eventually

SOCKET = SPEAK | {"base_url": "https://speaker.example"}


@pytest.fixture
def url(app: API) -> Iterator[str]:
    """Where the front door answers."""
    with served(app) as address:
        yield f"http://{address}"


@contextmanager
def _checked(app: API, alice: Caller, *, healthy: bool) -> Iterator[None]:
    """Do the next check's job, as a worker would."""

    def work() -> None:
        path = f"/api/jobs?kind={CHECK}&state=queued"
        eventually(lambda: alice.get(path).json["jobs"])
        kernel = services_of(app).kernel
        job = claim(kernel, alice.get(path).json["jobs"][0]["id"])
        result = {"connector": "speaker", "healthy": healthy, "can_process": None, "reasons": ["away"], "took_s": 1}
        finish(kernel, job, result=result)

    worker = threading.Thread(target=work)
    worker.start()
    yield
    worker.join()


def test_the_client_stores_changes_checks_and_deletes(app: API, url: str, alice: Caller) -> None:
    """Fields of a service are changed one by one, and its secrets stay."""
    with Switchyard(url, alice.key) as client:
        with pytest.raises(InputRejected):
            client.connectors.create("speaker", SOCKET)
        assert "websocket" == client.connectors.create("speaker", SOCKET, {"key": KEY}).service["type"]
        changed = client.connectors.edit("speaker", silence_s=7)
        assert (7, ("key",)) == (changed.service["silence_s"], changed.secrets)
        assert [changed] == list(client.connectors.list()) == [client.connectors.get("speaker")]
        with _checked(app, alice, healthy=False):
            found = client.connectors.check("speaker")
        assert (False, False, ("away",)) == (found.is_fine, found.healthy, found.reasons)
        client.connectors.delete("speaker")
        with pytest.raises(NotFound):
            client.connectors.edit("speaker", silence_s=7)


def test_the_async_client_does_what_the_other_does(app: API, url: str, alice: Caller) -> None:
    """With each method awaited."""

    async def use() -> None:
        async with AsyncSwitchyard(url, alice.key) as client:
            await client.connectors.create("translator", SERVICE, BODY["secrets"])
            changed = await client.connectors.edit("translator", timeout_s=7)
            assert [changed] == list(await client.connectors.list()) == [await client.connectors.get("translator")]
            assert (await client.connectors.check("translator", {})).is_fine
            await client.connectors.delete("translator")

    with _checked(app, alice, healthy=True):
        asyncio.run(use())


def test_the_command_does_what_the_client_does(
    app: API, url: str, alice: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets come from a file; the exit code says whether the service is well."""

    def switchyard(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--url", url, "--key", alice.key, "connectors", *arguments])
        # The front door's own log comes the same way, as it runs in this process.
        written = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("level=")]
        return int(str(ended.value.code)), "\n".join(written)

    service, secrets = tmp_path / "service.json", tmp_path / "secrets.json"
    service.write_text(json.dumps(SOCKET))
    secrets.write_text(json.dumps({"key": KEY}))
    assert (0, "speaker stored") == switchyard("put", "speaker", str(service), "--secrets", str(secrets))
    assert "speaker\twebsocket\thttps://speaker.example\tkey\t" in switchyard("list")[1]
    assert SOCKET.items() <= json.loads(switchyard("show", "speaker")[1]).items()
    with _checked(app, alice, healthy=False):
        assert (1, "well: no, takes the input: not asked\naway") == switchyard("check", "speaker")
    assert (0, "speaker deleted") == switchyard("rm", "speaker")
    assert 4 == switchyard("show", "speaker")[0]
