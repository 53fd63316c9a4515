"""``switchyard webhooks``, against the real front door."""

import json
from collections.abc import Callable, Iterator

import pytest

from app.openapi import API
from client.command import main
from tests.app.conftest import Caller
from tests.app.streams.house import served

Command = Callable[..., int]


@pytest.fixture
def switchyard(app: API, alice: Caller) -> Iterator[Command]:
    """Run one command; return its exit code."""
    with served(app) as address:

        def run(*arguments: str) -> int:
            with pytest.raises(SystemExit) as ended:
                main(["--url", f"http://{address}", "--key", alice.key, *arguments])
            return int(str(ended.value.code))

        yield run


def test_a_webhook_from_its_making_to_its_end(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what it did, for people or machines."""

    def said(*arguments: str) -> str:
        assert 0 == switchyard("webhooks", *arguments)
        lines = capsys.readouterr().out.splitlines()
        return "\n".join(line for line in lines if not line.startswith("level="))  # the server logs there, too

    made, secret = said("create", "https://hooks.example.com/a", "--event", "site.*").split(" ")
    assert secret.startswith("whsec_")
    sent = said("test", made)
    assert f"{sent}\twebhook.test\t-\tpending\t0\t-" in said("deliveries", "--webhook", made, "--state", "pending")
    assert f"{sent} webhook.test pending, 0 tries" == said("delivery", sent)
    assert f"{made} off" == said("switch", made, "off")
    assert "state: off (requested)" in said("show", made)
    assert 0 == json.loads(said("show", made, "--json"))["stats"]["delivered"]
    assert secret != said("rotate", made)
    assert "https://hooks.example.com/a\tsite.*" in said("list")
    assert 2 == switchyard("webhooks", "replay", "--dead", made)  # it is off
    assert f"{made} on" == said("switch", made, "on")
    assert "0" == said("replay", "--dead", made)
    said("rm", made)
    assert 4 == switchyard("webhooks", "show", made)


def test_a_bad_url_is_refused(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """With the field and the remedy."""
    assert 2 == switchyard("webhooks", "create", "https://10.0.0.1/")
    assert "url: No request may go to this URL: use a public host" in capsys.readouterr().err
